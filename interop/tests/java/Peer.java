// One JeroMQ socket, driven line by line: see peer.py, whose protocol this is, less what is about options.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

import org.zeromq.ZMQ;

public class Peer {
    static final int PERIOD = 251;
    static final int SHORT = 64;

    static ZMQ.Context context = ZMQ.context(1);
    static ZMQ.Socket socket;

    static byte[] pattern(int length) {
        byte[] bytes = new byte[length];
        for (int at = 0; at < length; at++) {
            bytes[at] = (byte) (at % PERIOD);
        }
        return bytes;
    }

    static byte[] decode(String token) {
        if (token.equals("-")) {
            return new byte[0];
        }
        if (token.startsWith("@")) {
            return pattern(Integer.parseInt(token.substring(1)));
        }
        byte[] bytes = new byte[token.length() / 2];
        for (int at = 0; at < bytes.length; at++) {
            bytes[at] = (byte) Integer.parseInt(token.substring(2 * at, 2 * at + 2), 16);
        }
        return bytes;
    }

    static String encode(byte[] frame) {
        if (frame.length == 0) {
            return "-";
        }
        if (frame.length > SHORT && Arrays.equals(frame, pattern(frame.length))) {
            return "@" + frame.length;
        }
        StringBuilder digits = new StringBuilder();
        for (byte one : frame) {
            digits.append(String.format("%02x", one));
        }
        return digits.toString();
    }

    // An XSUB subscribes by messages.
    static void subscribe(byte[] topic, boolean wanted) {
        if (socket.getType() == ZMQ.XSUB) {
            byte[] command = new byte[topic.length + 1];
            command[0] = (byte) (wanted ? 1 : 0);
            System.arraycopy(topic, 0, command, 1, topic.length);
            socket.send(command, 0);
        } else if (wanted) {
            socket.subscribe(topic);
        } else {
            socket.unsubscribe(topic);
        }
    }

    static String run(String[] words) throws Exception {
        switch (words[0]) {
            case "open":
                socket = context.socket(ZMQ.class.getField(words[1]).getInt(null));
                socket.setLinger(0);
                return "ok";
            case "bind":
                // This version does not tell which port a wildcard has become.
                String host = words[1].substring(0, words[1].lastIndexOf(':'));
                return "ok " + host + ":" + socket.bindToRandomPort(host);
            case "connect":
                socket.connect(words[1]);
                return "ok";
            case "subscribe":
                subscribe(decode(words[1]), true);
                return "ok";
            case "unsubscribe":
                subscribe(decode(words[1]), false);
                return "ok";
            case "send":
                for (int at = 1; at < words.length; at++) {
                    int more = at + 1 < words.length ? ZMQ.SNDMORE : 0;
                    if (!socket.send(decode(words[at]), more)) {
                        return "error not sent";
                    }
                }
                return "ok";
            case "recv":
                ZMQ.Poller poller = new ZMQ.Poller(1);
                poller.register(socket, ZMQ.Poller.POLLIN);
                if (poller.poll(Long.parseLong(words[1])) < 1) {
                    return "none";
                }
                StringBuilder answer = new StringBuilder("msg");
                do {
                    answer.append(' ').append(encode(socket.recv(0)));
                } while (socket.hasReceiveMore());
                return answer.toString();
            default:
                return "error no such command";
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = lines.readLine()) != null) {
            String answer;
            try {
                answer = run(line.split(" "));
            } catch (Exception error) {
                answer = "error " + error;
            }
            System.out.println(answer);
            System.out.flush();
        }
        System.exit(0);
    }
}
