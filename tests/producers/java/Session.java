import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.Callback;

/**
 * Tells of groups of these ids, and prints where each record landed: topic, partition, offset and key, between tabs.
 *
 * Session BOOTSTRAP TOPIC_PREFIX GROUP...
 */
class Session {
    public static void main(String[] arguments) throws Exception {
        var given = List.of(arguments);
        var prefix = given.get(1);
        var failed = new AtomicReference<Exception>();
        try (var producer = Producer.connect(given.get(0))) {
            for (var group : given.subList(2, given.size())) {
                Callback landed = (at, why) -> {
                    if (why == null) {
                        System.out.printf("%s\t%d\t%d\t%s%n", at.topic(), at.partition(), at.offset(), group);
                    } else {
                        failed.set(why);
                    }
                };
                Producer.tell(producer, prefix + "receipts.conversations", prefix + "receipts.reads", group, landed);
            }
            producer.flush();
        }
        if (failed.get() != null) {
            throw failed.get();
        }
    }
}
