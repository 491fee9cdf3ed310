//! A process that plays one role of a fault test: `actor ROLE ARGUMENT...`, with `HOBNOB_DIR` set.

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Err(error) = faults::roles::play(&arguments) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
