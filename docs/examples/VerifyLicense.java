// Verifies license files without a connection: docs/licensing.md. Java 17 or later, nothing else.
//
//     java VerifyLicense.java LICENSE_FILE KEYS.json FINGERPRINT [LATEST]
//
// KEYS.json is what GET /api/v1/licenses/keys answers; a product has it built in. LATEST is the latest time that the product has ever seen,
// in seconds since 1970. Prints the content of a good file, or the reason of a bad one and exits with 1.

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public final class VerifyLicense {
    private static final String BEGIN = "-----BEGIN LICENSE FILE-----";
    private static final String END = "-----END LICENSE FILE-----";
    private static final String PRODUCT = "base_product";
    /** Clocks differ by so much and are still taken for right, in seconds. */
    private static final double TOLERANCE = 24 * 3600;
    /** No file is larger, in characters. */
    private static final int LARGEST = 64 * 1024;
    /** What is before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410). */
    private static final byte[] KEY_HEADER = HexFormat.of().parseHex("302a300506032b6570032100");

    /** Why a file is not good: the message is the reason, a word. */
    public static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String reason) {
            super(reason);
        }
    }

    /** The content of a good file, as JSON. {@code latest} is the latest time that was ever seen; keep the later of it and {@code now}. */
    public static String verify(String text, String keys, String fingerprint, double now, double latest)
            throws Refused, GeneralSecurityException {
        if (text.length() > LARGEST) {
            throw new Refused("malformed");
        }
        List<String> lines = text.strip().lines().map(String::strip).toList();
        if (lines.size() < 3 || !lines.get(0).equals(BEGIN) || !lines.get(lines.size() - 1).equals(END)) {
            throw new Refused("malformed");
        }
        String algorithm, encoded, kid;
        byte[] signature;
        try {
            Map<?, ?> envelope = (Map<?, ?>) Json.parse(utf8(decode(String.join("", lines.subList(1, lines.size() - 1)))));
            algorithm = string(envelope, "alg");
            encoded = string(envelope, "enc");
            kid = string(envelope, "kid");
            signature = decode(string(envelope, "sig"));
        } catch (IllegalArgumentException | ClassCastException broken) {
            throw new Refused("malformed");
        }
        // Only this one, whatever the file says: it must not choose how it is verified.
        if (!algorithm.equals("base64+ed25519")) {
            throw new Refused("unknown_algorithm");
        }
        PublicKey key = keyOf(keys, kid);
        if (key == null) {
            throw new Refused("unknown_key");
        }
        if (!isSigned(key, "license/" + encoded, signature)) {
            throw new Refused("invalid_signature");
        }
        // From here on it is what the vendor has written.
        String json = utf8(decode(encoded));
        Map<?, ?> content = (Map<?, ?>) Json.parse(json);
        Map<?, ?> license = (Map<?, ?>) content.get("license");
        Map<?, ?> activation = (Map<?, ?>) content.get("activation");
        if (!Double.valueOf(1).equals(content.get("version"))) {
            throw new Refused("unknown_version");
        }
        if (!PRODUCT.equals(license.get("productType"))) {
            throw new Refused("other_product");
        }
        if (!fingerprint.equals(activation.get("fingerprint"))) {
            throw new Refused("other_machine");
        }
        double end = (Double) content.get("exp");
        double issued = end - (Double) ((Map<?, ?>) content.get("meta")).get("ttl");
        if (now < Math.max(issued, latest) - TOLERANCE) {
            throw new Refused("clock_turned_back");
        }
        if (Math.max(now, latest) >= end) {
            throw new Refused("expired");
        }
        return json;
    }

    private static PublicKey keyOf(String keys, String kid) throws GeneralSecurityException {
        for (Object entry : (List<?>) ((Map<?, ?>) Json.parse(keys)).get("keys")) {
            Map<?, ?> key = (Map<?, ?>) entry;
            if (kid.equals(key.get("kid"))) {
                byte[] bytes = Base64.getUrlDecoder().decode((String) key.get("x"));
                byte[] encoded = new byte[KEY_HEADER.length + bytes.length];
                System.arraycopy(KEY_HEADER, 0, encoded, 0, KEY_HEADER.length);
                System.arraycopy(bytes, 0, encoded, KEY_HEADER.length, bytes.length);
                return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(encoded));
            }
        }
        return null;
    }

    private static boolean isSigned(PublicKey key, String message, byte[] signature) throws GeneralSecurityException {
        Signature verifier = Signature.getInstance("Ed25519");
        verifier.initVerify(key);
        verifier.update(message.getBytes(StandardCharsets.UTF_8));
        try {
            return verifier.verify(signature);
        } catch (SignatureException broken) {
            // It has another length.
            return false;
        }
    }

    private static String string(Map<?, ?> object, String name) {
        if (object.get(name) instanceof String text) {
            return text;
        }
        throw new IllegalArgumentException(name);
    }

    private static byte[] decode(String text) {
        return Base64.getDecoder().decode(text);
    }

    private static String utf8(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** As much of JSON as there is in license files. A product that has a library for it takes that. Numbers are doubles. */
    private static final class Json {
        private static final int DEEPEST = 32;
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static Object parse(String text) {
            Json json = new Json(text);
            Object value = json.value(0);
            json.blanks();
            if (json.at != text.length()) {
                throw new IllegalArgumentException("more than one value");
            }
            return value;
        }

        private Object value(int depth) {
            if (depth > DEEPEST) {
                throw new IllegalArgumentException("too deep");
            }
            blanks();
            switch (peek()) {
                case '{': {
                    Map<String, Object> object = new LinkedHashMap<>();
                    at++;
                    if (!ends('}')) {
                        do {
                            blanks();
                            String name = string();
                            blanks();
                            expect(':');
                            object.put(name, value(depth + 1));
                        } while (goesOn('}'));
                    }
                    return object;
                }
                case '[': {
                    List<Object> list = new ArrayList<>();
                    at++;
                    if (!ends(']')) {
                        do {
                            list.add(value(depth + 1));
                        } while (goesOn(']'));
                    }
                    return list;
                }
                case '"':
                    return string();
                default:
                    return word();
            }
        }

        private Object word() {
            int begin = at;
            while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) {
                at++;
            }
            String word = text.substring(begin, at);
            return switch (word) {
                case "null" -> null;
                case "true" -> true;
                case "false" -> false;
                default -> {
                    if (!word.matches("-?\\d+(\\.\\d+)?([eE][+-]?\\d+)?")) {
                        throw new IllegalArgumentException(word);
                    }
                    yield Double.valueOf(word);
                }
            };
        }

        private String string() {
            expect('"');
            StringBuilder string = new StringBuilder();
            while (peek() != '"') {
                char c = text.charAt(at++);
                if (c < ' ') {
                    throw new IllegalArgumentException("control character");
                }
                string.append(c == '\\' ? escaped() : c);
            }
            at++;
            return string.toString();
        }

        private char escaped() {
            char c = peek();
            at++;
            int place = "\"\\/bfnrt".indexOf(c);
            if (place >= 0) {
                return "\"\\/\b\f\n\r\t".charAt(place);
            }
            if (c != 'u' || at + 4 > text.length()) {
                throw new IllegalArgumentException("escape");
            }
            at += 4;
            return (char) HexFormat.fromHexDigits(text, at - 4, at);
        }

        private boolean ends(char end) {
            blanks();
            if (peek() == end) {
                at++;
                return true;
            }
            return false;
        }

        private boolean goesOn(char end) {
            if (ends(end)) {
                return false;
            }
            expect(',');
            return true;
        }

        private void expect(char c) {
            if (peek() != c) {
                throw new IllegalArgumentException("expected " + c);
            }
            at++;
        }

        private char peek() {
            if (at >= text.length()) {
                throw new IllegalArgumentException("cut off");
            }
            return text.charAt(at);
        }

        private void blanks() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }
    }

    public static void main(String[] arguments) throws IOException, GeneralSecurityException {
        // What is no UTF-8 is no license file either.
        byte[] bytes;
        try (var file = Files.newInputStream(Path.of(arguments[0]))) {
            bytes = file.readNBytes(4 * LARGEST + 1);
        }
        String keys = Files.readString(Path.of(arguments[1]));
        double latest = arguments.length > 3 ? Double.parseDouble(arguments[3]) : 0;
        double now = System.currentTimeMillis() / 1000.0;
        try {
            System.out.println(verify(utf8(bytes), keys, arguments[2], now, latest));
        } catch (Refused refused) {
            System.err.println(refused.getMessage());
            System.exit(1);
        }
    }
}
