// Ask Puppet for the category of a ticket: java Search.java "Je n'arrive plus à me connecter". Java 11 or newer.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.regex.Pattern;

public class Search {
    /** Quotes a string for JSON; in a program of yours a JSON library does. */
    static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one < ' ' || one == '"' || one == '\\') json.append(String.format("\\u%04x", (int) one));
            else json.append(one);
        }
        return json.append('"').toString();
    }

    public static void main(String[] words) throws Exception {
        Map<String, String> environment = System.getenv();
        String address = environment.getOrDefault("PUPPET_URL", "http://127.0.0.1:8000");
        String ticket = "{\"name\":\"puppet-o2\",\"neural_network_type\":\"GRU\",\"text\":" + quoted(words[0]) + "}";
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(address + "/search"))
            .header("Content-Type", "application/json")
            .header("X-Timeout-Ms", "2000")
            .POST(HttpRequest.BodyPublishers.ofString(ticket));
        if (environment.containsKey("PUPPET_TOKEN")) {
            request.header("Authorization", "Bearer " + environment.get("PUPPET_TOKEN"));
        }
        // Puppet speaks HTTP/1.1; the client's usual offer of HTTP/2 is passed over.
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<String> said = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        if (said.statusCode() != 200) {
            System.err.println(said.body()); // a problem: `type` is for programs, `detail` for people
            System.exit(1);
        }
        var category = Pattern.compile("\"category\":\"(.*?)\",").matcher(said.body());
        category.find();
        System.out.write((category.group(1) + "\n").getBytes("UTF-8"));
        System.out.flush();
    }
}
