// How a producer in Java writes to receiptd's topics. docs/producers.md shows what stands between the marks.

// example: settings
import com.google.protobuf.MessageLite;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import receipts.v1.Event.AllMembers;
import receipts.v1.Event.ConversationEvent;
import receipts.v1.Event.GroupCreated;
import receipts.v1.Event.MembersAdded;
import receipts.v1.Event.MessageIds;
import receipts.v1.Event.MessageSent;
import receipts.v1.Event.ReadEvent;

class Producer {
    static KafkaProducer<String, byte[]> connect(String bootstrap) {
        Map<String, Object> settings = Map.of(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap,
            // Acknowledged is durable; what the client sends again is neither doubled nor out of turn. Both are
            // defaults, as is the partitioner: set none.
            ProducerConfig.ACKS_CONFIG, "all",
            ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true,
            // Never given up, so that no later event of the conversation overtakes one that failed.
            ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, Integer.MAX_VALUE);
        return new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer());
    }
// end

// example: events
    /** Tells of a group, a message in it that asks for receipts, and that one of the members has read it. */
    static void tell(
            KafkaProducer<String, byte[]> producer, String conversations, String reads, String group, Callback landed) {
        var created = GroupCreated.newBuilder().setGroupType("work").addAllMemberIds(List.of("alice", "bob"));
        var added = MembersAdded.newBuilder().addMemberIds("carol");
        var sent = MessageSent.newBuilder()
            .setMessageId("m1")
            .setSenderId("alice")
            .setNeedReadReceipt(true)
            .setAllMembers(AllMembers.getDefaultInstance());
        var event = ConversationEvent.newBuilder().setConversationId(group);
        publish(producer, conversations, group, event.setVersion(1).setGroupCreated(created).build(), landed);
        publish(producer, conversations, group, event.setVersion(2).setMembersAdded(added).build(), landed);
        publish(producer, conversations, group, event.setVersion(3).setMessageSent(sent).build(), landed);

        var messages = MessageIds.newBuilder().addMessageIds("m1");
        var read = ReadEvent.newBuilder().setConversationId(group).setReaderId("bob").setMessages(messages);
        publish(producer, reads, group, read.build(), landed);
    }

    /** Sends an event; `landed` is called once the broker has it, or will never have it. */
    static void publish(
            KafkaProducer<String, byte[]> producer, String topic, String key, MessageLite event, Callback landed) {
        producer.send(new ProducerRecord<>(topic, key, event.toByteArray()), landed);
    }
}
// end
