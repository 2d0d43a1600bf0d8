import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Serve HOW PORT: a web server that tells its process id and user id; HOW is
 *   channel  with java.nio, on every address; and what comes as a datagram to the same port is sent back,
 *   socket   with java.net,
 *   child    in a child process, by ProcessBuilder.
 */
public class Serve {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[1]);
        switch (arguments[0]) {
            case "channel" -> channel(port);
            case "socket" -> socket(port);
            default -> child(port);
        }
    }

    static void channel(int port) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress(port));
        DatagramChannel datagrams = DatagramChannel.open().bind(new InetSocketAddress(port));
        Thread echo = new Thread(() -> echo(datagrams));
        echo.setDaemon(true);
        echo.start();
        while (true) {
            try (SocketChannel client = server.accept()) {
                client.read(ByteBuffer.allocate(4096));
                client.write(ByteBuffer.wrap(answer()));
            }
        }
    }

    static void echo(DatagramChannel datagrams) {
        ByteBuffer buffer = ByteBuffer.allocate(4096);
        try {
            while (true) {
                var client = datagrams.receive(buffer.clear());
                datagrams.send(buffer.flip(), client);
            }
        } catch (IOException failure) {
            failure.printStackTrace();
        }
    }

    static void socket(int port) throws IOException {
        try (ServerSocket server = new ServerSocket(port)) {
            while (true) {
                try (Socket client = server.accept()) {
                    InputStream request = client.getInputStream();
                    request.read(new byte[4096]);
                    client.getOutputStream().write(answer());
                }
            }
        }
    }

    static void child(int port) throws Exception {
        String java = ProcessHandle.current().info().command().get();
        String classes = System.getProperty("java.class.path");
        Process child = new ProcessBuilder(java, "-cp", classes, "Serve", "socket", "" + port).inheritIO().start();
        System.exit(child.waitFor());
    }

    static byte[] answer() throws IOException {
        Object uid = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        String process = "pid " + ProcessHandle.current().pid() + " uid " + uid;
        return ("HTTP/1.0 200 OK\r\n\r\n" + process + "\n").getBytes();
    }
}
