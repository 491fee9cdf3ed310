#!/usr/bin/env python3
"""Whether a server refuses what docs/PROTOCOL.md says that it refuses: hostile_client.py ADDRESS [silent].

It breaks each rule in turn, and after each an honest client is still served.
"""
import contextlib, os, pathlib, secrets, socket, struct, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples" / "python"))
import hobnob_client as client

HANGS_UP, YES, OTHER_VERSION, OTHER_TRANSPORT, OLD_FILE, WRONG_FILE, NO_HELLO, SILENT = None, 0, 1, 2, 6, 7, 9, 10
ADDRESS = sys.argv[1]
SCHEME, TARGET = ADDRESS.split(":", 1)
DIAL = {"unix": client.dial_unix, "fifo": client.dial_fifo}[SCHEME]

def deadline():
    return time.monotonic() + 20

@contextlib.contextmanager
def knocked():
    """A road, before the hello, and the nonce that belongs to it."""
    with contextlib.ExitStack() as held:
        folder = None if TARGET.startswith("/") else client.find(TARGET, held)[0][0][0]
        yield DIAL(folder, TARGET, held)

def frame(kind, body=b"", flags=0, zero=0, length=None):
    return client.HEADER.pack(len(body) if length is None else length, kind, flags, zero) + body

def terms(magic=b"hobnob", version=1, scheme=SCHEME):
    return client.TERMS.pack(magic, version, scheme.encode(), 16 << 20, 0, 0)

def answer(road, said):
    """Writes what is hostile; gives the verdict's number and its body, or None if the server hangs up without one."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        road.tx.write(said)  # one that is refused at once may be too late, and its verdict is there all the same
    with contextlib.suppress(ConnectionResetError):
        kind, body = road.read_frame(deadline())
        if kind == client.GOODBYE:  # its program gave the connection up, and nothing comes after that
            kind, body = road.read_frame(deadline())
        assert kind == client.VERDICT, f"a frame of kind {kind}"
        return body[37], body
    return HANGS_UP, b""

def check(what, got, expected):
    assert got == expected, f"{what}: the answer is {got}, and the page says {expected}"
    honest = client.connect(ADDRESS, 20)
    honest.send(b"honest", 20)
    assert honest.receive(20) == b"honest", f"after {what}, an honest client is not served"
    print(f"{what}: {got}")

def in_the_handshake():
    for what, hello, expected in (
            ("another magic", lambda n: frame(7, terms(magic=b"hobnoB") + n), NO_HELLO),
            ("version 2", lambda n: frame(7, terms(version=2) + n), OTHER_VERSION),
            ("version 2 and bytes that are not known", lambda n: frame(7, terms(version=2) + n + b"later"), OTHER_VERSION),
            ("version 0", lambda n: frame(7, terms(version=0) + n), OTHER_VERSION),
            ("another scheme", lambda n: frame(7, terms(scheme="other") + n), OTHER_TRANSPORT),
            ("a scheme that is no text", lambda n: frame(7, terms(scheme="un x") + n), NO_HELLO),
            ("flags", lambda n: frame(7, terms() + n, flags=1), NO_HELLO),
            ("a byte that is not 0", lambda n: frame(7, terms() + n, zero=256), NO_HELLO),
            ("257 bytes", lambda n: frame(7, (terms() + n).ljust(257, b"\0")), NO_HELLO),
            ("257 bytes that never come", lambda n: frame(7, length=257), NO_HELLO),
            ("a hello cut short", lambda n: frame(7, (terms() + n)[:-1]), NO_HELLO),
            *((f"kind {kind} first", lambda n, kind=kind: frame(kind, terms() + n), NO_HELLO)
              for kind in (0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 255)),
            ("256 bytes", lambda n: frame(7, (terms() + n).ljust(256, b"\1")), YES),
            ("a nonce that is not the knock's", lambda n: frame(7, terms() + bytes(16)), YES if SCHEME == "unix" else NO_HELLO)):
        with knocked() as (road, nonce):
            number, body = answer(road, hello(nonce))
            if number in (OTHER_VERSION, OTHER_TRANSPORT):
                magic, version, scheme = client.TERMS.unpack_from(body)[:3]
                assert (magic, version, scheme.rstrip(b"\0")) == (b"hobnob", 1, SCHEME.encode()), f"{what}: the terms {body}"
            check(what, number, expected)

def after_the_verdict():
    for what, ready in (("another nonce", lambda n: frame(9, bytes(16))), ("a longer ready", lambda n: frame(9, n + b"x")),
                        ("a message instead of the ready", lambda n: frame(1, n))):
        with knocked() as (road, nonce):
            number, body = answer(road, frame(7, terms() + nonce))
            assert number == YES, number
            check(what, answer(road, ready(body[54:70]))[0], HANGS_UP)

def on_the_road():
    for what, said in (*((f"kind {kind} after the handshake", frame(kind)) for kind in (0, *range(3, 11), 255)),
                       ("flags on a message", frame(1, b"x", flags=128)), ("zeros that are not", frame(1, b"x", zero=1)),
                       ("a message over the limit", frame(1, length=(16 << 20) + 1)),
                       ("the largest length there is", frame(1, length=(1 << 32) - 1))):
        road = client.connect(ADDRESS, 20)
        check(what, answer(road, said)[0], HANGS_UP)
    road = client.connect(ADDRESS, 20)
    road.tx.write(frame(1, b"first") + frame(2) + frame(255) + frame(1, b"unheard"))
    assert (road.receive(20), road.receive(20)) == (b"first", None), "what is behind a goodbye is not read"

def client_files():
    def greet(touch, name=f"{os.getpid()}-{secrets.token_hex(16)}"):
        with contextlib.ExitStack() as held:
            folder = client.find(TARGET, held)[0][0][0]
            file = pathlib.Path(f"/proc/self/fd/{client.enter('clients', held, folder, 0)}/{name}")
            sock = held.enter_context(socket.socket(socket.AF_UNIX))
            if touch:
                sock.bind(str(file))
                held.callback(file.unlink, missing_ok=True)
                file.chmod(0o700)
                touch(file)
            sock.connect(f"/proc/self/fd/{folder}/sock")
            number = answer(client.Road(os.dup(sock.fileno()), os.dup(sock.fileno())), frame(7, terms() + bytes(16)))[0]
            return number, file.exists()
    second = lambda file: file.with_name("1-second")
    for what, touch, name, expected in (
            ("a right file", lambda file: None, None, (YES, False)), ("no file", None, None, (WRONG_FILE, False)),
            ("a mode of 0755", lambda file: file.chmod(0o755), None, (WRONG_FILE, True)),
            ("a mode of 0600", lambda file: file.chmod(0o600), None, (WRONG_FILE, True)),
            ("another pid", lambda file: None, f"{os.getppid()}-{'0' * 32}", (WRONG_FILE, True)),
            ("capital letters", lambda file: None, f"{os.getpid()}-{'A' * 32}", (WRONG_FILE, True)),
            ("a second name", lambda file: os.link(file, second(file)), None, (WRONG_FILE, True)),
            ("a file of 11 s ago", lambda file: os.utime(file, (time.time() - 11,) * 2), None, (OLD_FILE, True)),
            ("a file that is gone", lambda file: file.unlink(), None, (OLD_FILE, False))):
        check(what, greet(touch, *[name] * bool(name)), expected)

def garbage_at_the_rendezvous():
    with contextlib.ExitStack() as held:
        folder = client.find(TARGET, held)[0][0][0]
        for garbage in (b"x", b"hobnobF1", struct.pack("<8sI16s16s16xI", b"hobnobF1", os.getpid(), bytes(16), bytes(16), 7)):
            os.write(client.keep(os.open("fifo", os.O_WRONLY, dir_fd=folder), held), garbage)
            check(f"{len(garbage)} bytes of garbage at the rendezvous", None, HANGS_UP)

def main():
    if sys.argv[2:] == ["silent"]:
        with knocked() as (road, _):
            return check("silence", answer(road, b"")[0], SILENT)
    in_the_handshake()
    after_the_verdict()
    on_the_road()
    if SCHEME == "unix" and not TARGET.startswith("/"):
        client_files()
    if SCHEME == "fifo" and not TARGET.startswith("/"):
        garbage_at_the_rendezvous()

main()
