#!/usr/bin/env python3
"""Asks an infer_server which digit is on an image: client.py SOCKET IMAGE [MODEL]. IMAGE is relative to its root."""

import os
import socket
import struct
import sys

REQUEST, RESULT, ERROR = "!HB256p16p", "!HBBH253xBd7x", "!HB256p16x"


def ask(path, image, model=""):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        # An address of our own, for the answer; the kernel chooses one that is not in the file system.
        client.bind("")
        # From now on nobody but the server can send us anything.
        client.connect(path)
        client.settimeout(10)
        number = os.getpid() & 0xFFFF
        client.send(struct.pack(REQUEST, number, 1, os.fsencode(image), model.encode()))
        answer = client.recv(275)
    if struct.unpack_from("!HB", answer) == (number, 3):
        raise SystemExit("the server says: " + struct.unpack(ERROR, answer)[2].decode())
    got, _, _, digit, _, confidence = struct.unpack(RESULT, answer)
    assert got == number, "an answer to something else"
    return digit, confidence


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit("usage: client.py SOCKET IMAGE [MODEL]")
    print("digit %d, confidence %.4f" % ask(*sys.argv[1:]))
