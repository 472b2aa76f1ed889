"""One pyzmq socket, driven line by line.

Reads a command per line on stdin and answers each with exactly one line on stdout, so that whoever drives it
waits for answers and never for time. Ends with its stdin.

    open ROLE            -> ok              a socket of that type: PUSH, ROUTER, ...
    set OPTION NUMBER    -> ok              a socket option by its name; FRAME for one that takes bytes
    users FRAME FRAME... -> ok              lets in these users of PLAIN, each name followed by its password
    bind ENDPOINT        -> ok ENDPOINT     with the wildcard filled in
    connect ENDPOINT     -> ok
    subscribe FRAME      -> ok              an XSUB sends it as a message
    unsubscribe FRAME    -> ok
    send FRAME...        -> ok
    recv MILLISECONDS    -> msg FRAME...    or "none" when nothing came in time
    anything that fails  -> error TEXT

A FRAME is "-" when empty, "@LENGTH" when it is the test pattern of that length, and else its bytes in hex.
"""

import sys

import zmq

# Both ends know this pattern: a frame of 100 MiB then travels the pipe between them as a few characters.
PERIOD = bytes(range(251))
SHORT = 64

# Options that take bytes.
BYTES = {
    "ROUTING_ID",
    "PLAIN_USERNAME",
    "PLAIN_PASSWORD",
    "ZAP_DOMAIN",
    "CURVE_PUBLICKEY",
    "CURVE_SECRETKEY",
    "CURVE_SERVERKEY",
}


def pattern(length):
    return (PERIOD * (length // len(PERIOD) + 1))[:length]


def decode(token):
    if token == "-":
        return b""
    if token.startswith("@"):
        return pattern(int(token[1:]))
    return bytes.fromhex(token)


def encode(frame):
    if not frame:
        return "-"
    if len(frame) > SHORT and frame == pattern(len(frame)):
        return f"@{len(frame)}"
    return frame.hex()


class Peer:
    def __init__(self):
        self.context = zmq.Context()
        self.socket = None
        self.authenticator = None

    def open(self, role):
        self.socket = self.context.socket(getattr(zmq, role))
        self.socket.linger = 0
        return "ok"

    def set(self, option, number):
        value = decode(number) if option in BYTES else int(number)
        self.socket.setsockopt(getattr(zmq, option), value)
        return "ok"

    def users(self, *frames):
        from zmq.auth.thread import ThreadAuthenticator

        words = [decode(frame).decode() for frame in frames]
        self.authenticator = ThreadAuthenticator(self.context)
        self.authenticator.start()
        self.authenticator.configure_plain(domain="*", passwords=dict(zip(words[::2], words[1::2])))
        return "ok"

    def bind(self, endpoint):
        self.socket.bind(endpoint)
        return "ok " + self.socket.last_endpoint.rstrip(b"\0").decode()

    def connect(self, endpoint):
        self.socket.connect(endpoint)
        return "ok"

    def subscribe(self, topic):
        if self.socket.type == zmq.XSUB:
            self.socket.send(b"\1" + decode(topic))
            return "ok"
        self.socket.setsockopt(zmq.SUBSCRIBE, decode(topic))
        return "ok"

    def unsubscribe(self, topic):
        if self.socket.type == zmq.XSUB:
            self.socket.send(b"\0" + decode(topic))
            return "ok"
        self.socket.setsockopt(zmq.UNSUBSCRIBE, decode(topic))
        return "ok"

    def send(self, *frames):
        self.socket.send_multipart([decode(frame) for frame in frames])
        return "ok"

    def recv(self, milliseconds):
        if not self.socket.poll(int(milliseconds)):
            return "none"
        return " ".join(["msg", *map(encode, self.socket.recv_multipart(zmq.NOBLOCK))])


def main():
    peer = Peer()
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            answer = getattr(peer, command)(*arguments)
        except Exception as error:
            answer = f"error {type(error).__name__}: {error}"
        print(answer, flush=True)
    if peer.authenticator:
        peer.authenticator.stop()
    peer.context.destroy(linger=0)


main()
