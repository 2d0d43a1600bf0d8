import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

/** A web server of one page on port 80. */
public class App {
    public static void main(String[] arguments) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(80), 0);
        server.createContext("/", exchange -> {
            byte[] page = "java's page\n".getBytes();
            exchange.sendResponseHeaders(200, page.length);
            exchange.getResponseBody().write(page);
            exchange.close();
        });
        server.start();
    }
}
