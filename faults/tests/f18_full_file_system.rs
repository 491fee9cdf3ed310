//! F18: file systems so small that each step of starting and connecting fails once. They are mounted where only the
//! test and the processes that it starts can see them.
//! `cargo test --release -p faults --test f18_full_file_system -- --nocapture` (as root)
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use faults::{House, each_rendezvous, is_root, listing, saw, skipped, wait_until};
use hobnob::{AnyConnection, ErrorKind, IpcReceiver, IpcSender, IpcServer};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::statvfs::statvfs,
};

#[test]
fn a_start_that_finds_no_inode_left_says_no_space_and_leaves_nothing() {
    const NAME: &str = "a_start_that_finds_no_inode_left_says_no_space_and_leaves_nothing";
    with_small_file_systems(NAME, |house, scheme| {
        let start = || house.serve_with(scheme, |options| options);
        // The first is the root of the file system itself.
        let enough = (1..).find(|inodes| {
            let small = Small::mount(house, &format!("nr_inodes={inodes}"));
            let started = start().map(drop);
            assert_eq!(small.files(), Vec::<PathBuf>::new(), "left with {inodes} inodes");
            let Err(error) = started else { return true };
            assert_eq!(*error.kind(), ErrorKind::NoSpace, "{error} with {inodes} inodes");
            small.resize("nr_inodes=100");
            start().unwrap().destroy_server().unwrap();
            false
        });
        let failures = enough.unwrap() - 1;
        assert!(failures >= 4, "folder, clients/, rendezvous and record need an inode each");
        saw(
            "F18",
            scheme,
            format!("new_server with {failures} numbers of inodes"),
            "NoSpace, nothing left, then served",
        );
    });
}

#[test]
fn a_start_that_finds_no_byte_left_says_no_space_and_leaves_nothing() {
    const NAME: &str = "a_start_that_finds_no_byte_left_says_no_space_and_leaves_nothing";
    with_small_file_systems(NAME, |house, scheme| {
        let start = || house.serve_with(scheme, |options| options);
        let small = Small::mount(house, "size=64k");
        let filler = small.fill_with_bytes();
        let before = small.files();
        assert_eq!(start().err().map(|error| error.kind().clone()), Some(ErrorKind::NoSpace));
        assert_eq!(small.files(), before);
        small.remove(&filler);
        start().unwrap().destroy_server().unwrap();
        saw("F18", scheme, "new_server on 64 KiB full of bytes", "NoSpace, nothing left, then served");
    });
}

#[test]
fn a_server_on_a_full_file_system_serves_on_and_new_clients_are_told_no_space() {
    const NAME: &str = "a_server_on_a_full_file_system_serves_on_and_new_clients_are_told_no_space";
    with_small_file_systems(NAME, |house, scheme| {
        let small = Small::mount(house, "size=64k");
        let server = house.serve(scheme);
        let mut inside = house.connect(scheme);
        talks(&mut inside);
        // A client makes a file of no bytes, or two.
        let (used, filler) = (small.used_inodes(), small.fill_with_bytes());
        talks(&mut house.connect(scheme));
        small.remove(&filler);
        let before = small.files();
        let enough = (0..).find(|inodes| {
            // Those of clients before this one are free once the server has closed them.
            wait_until(|| small.used_inodes() == used);
            small.resize(&format!("nr_inodes={}", used + inodes));
            let connected = house.try_connect(scheme);
            talks(&mut inside);
            let Err(error) = connected else { return true };
            assert_eq!(*error.kind(), ErrorKind::NoSpace, "{error} with {inodes} inodes");
            assert_eq!(small.files(), before, "left with {inodes} inodes");
            small.resize("nr_inodes=100");
            talks(&mut house.connect(scheme));
            assert_eq!(small.files(), before);
            false
        });
        let failures = enough.unwrap();
        assert!(failures >= 1, "a client needs a file, or two");
        drop(server);
        saw(
            "F18",
            scheme,
            format!("connect_to with {failures} numbers of inodes"),
            "NoSpace, nothing left, then served; the client inside served throughout",
        );
    });
}

fn talks(client: &mut AnyConnection) {
    client.send_info(b"hello").unwrap();
    assert_eq!(client.recv_borrowed().unwrap(), Some(&b"hello"[..]));
}

/// In a mount namespace of this thread and of what it starts.
fn with_small_file_systems(name: &'static str, test: impl Fn(&House, &str)) {
    if !is_root(name) {
        return;
    }
    if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
        return skipped(&format!("{name}: no mount namespace ({errno})"));
    }
    // What is mounted from here on is seen nowhere else.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    each_rendezvous(name, test);
}

/// A small file system as the directory of names.
struct Small(PathBuf);

impl Small {
    fn mount(house: &House, options: &str) -> Self {
        let names = house.names();
        let _ = fs::create_dir(&names);
        let options = format!("mode=700,{options}");
        mount(Some("tmpfs"), &names, Some("tmpfs"), MsFlags::empty(), Some(&*options)).unwrap();
        Self(names)
    }

    fn resize(&self, options: &str) {
        mount(None::<&str>, &self.0, None::<&str>, MsFlags::MS_REMOUNT, Some(options)).unwrap();
    }

    fn used_inodes(&self) -> u64 {
        let now = statvfs(&self.0).unwrap();
        now.files() - now.files_free()
    }

    /// Gives the file that takes all the room.
    fn fill_with_bytes(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[7; 1024]).is_ok() {}
        assert_eq!(statvfs(&self.0).unwrap().blocks_free(), 0);
        filler
    }

    /// Its room is free once nobody has it open: a child that another test has forked may, until it calls exec.
    fn remove(&self, filler: &Path) {
        fs::remove_file(filler).unwrap();
        wait_until(|| statvfs(&self.0).unwrap().blocks_free() > 8);
    }

    fn files(&self) -> Vec<PathBuf> {
        listing(&self.0)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Also when a failed test still holds something in it.
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}
