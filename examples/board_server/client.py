"""An old client of the board: it sends commands, reads to the end of file, and prints what it was told.

    python3 client.py unix:/tmp/board.sock 'POSThello%'
    python3 client.py tcp:127.0.0.1:9000 'GET%'
"""

import ast
import socket
import sys


def connect(address):
    scheme, _, place = address.partition(":")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(place)
        return connection
    host, _, port = place.rpartition(":")
    return socket.create_connection((host, int(port)))


def ask(address, commands):
    with connect(address) as connection:
        connection.sendall(commands.encode())
        answer = ""
        while piece := connection.recv(1000):
            answer += piece.decode("ascii")
    return answer


for answer in ask(sys.argv[1], sys.argv[2]).split("%")[:-1]:
    if answer.startswith("MSG["):
        for number, text in ast.literal_eval(answer.removeprefix("MSG")):
            print(number, text)
    else:
        print(answer)
