"""Posts messages of every kind of character, and compares the list with what Python itself writes and reads."""

import ast
import random
import socket
import sys

KINDS = [
    lambda: random.choice("'\"\\"),
    lambda: random.choice("'\""),
    lambda: chr(random.randrange(0x20)),
    lambda: chr(random.randrange(0x20, 0x7F)),
    lambda: chr(random.randrange(0x7F, 0x100)),
    lambda: chr(random.randrange(0x100, 0xD800)),
    lambda: chr(random.randrange(0xE000, 0x10000)),
    lambda: chr(random.randrange(0x10000, 0x110000)),
    lambda: random.choice("🎉👩‍🚀\u202e\u2028\ufeff\x1b[2J"),
    lambda: random.choice(["\\x41", "\\N{BULLET}", "{x}", "'''", "None", "), (", "\r\n"]),
]


def message():
    kinds = random.sample(KINDS, random.randint(1, len(KINDS)))
    text = "".join(random.choice(kinds)() for _ in range(random.randrange(60)))
    return text.replace("%", "")


def connect(address):
    scheme, _, place = address.partition(":")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(place)
        return connection
    host, _, port = place.rpartition(":")
    return socket.create_connection((host, int(port)))


def answer(connection):
    read = b""
    while not read.endswith(b"%"):
        piece = connection.recv(65536)
        assert piece, f"the end of file behind {read[-100:]}"
        read += piece
    return read


seed = random.randrange(1 << 32)
random.seed(seed)
connection = connect(sys.argv[1])
messages = [message() for _ in range(500)]
for text in messages:
    connection.sendall(b"POST" + text.encode() + b"%")
    assert answer(connection) == b"MSGPosting Message!%", (seed, text)
connection.sendall(b"GET%")
listed = answer(connection)
expected = [(number, text) for number, text in enumerate(messages, 1)]
assert listed.count(b"%") == 1, seed
assert ast.literal_eval(listed[3:-1].decode("ascii")) == expected, seed
assert listed == b"MSG" + ascii(expected).encode() + b"%", seed
print(len(messages), "messages")
