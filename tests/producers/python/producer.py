"""How a producer in Python writes to receiptd's topics. docs/producers.md shows what stands between the marks."""

# example: settings
from confluent_kafka import Producer

from receipts.v1 import event_pb2 as events

SETTINGS = {
    # Acknowledged is durable; what the client sends again is neither doubled nor out of turn.
    "acks": "all",
    "enable.idempotence": True,
    # As the Java client does it. Another is the default, and receiptd refuses what that misplaces.
    "partitioner": "murmur2_random",
    # Never given up, so that no later event of the conversation overtakes one that failed.
    "delivery.timeout.ms": 2_147_483_647,
}


def connect(bootstrap):
    return Producer({**SETTINGS, "bootstrap.servers": bootstrap})
# end


# example: publish
def publish(producer, topic, event, landed):
    """Sends an event; `landed(error, record)` is called once the broker has it, or will never have it."""
    while True:
        try:
            producer.produce(topic, key=event.conversation_id, value=event.SerializeToString(), on_delivery=landed)
            producer.poll(0)
            return
        except BufferError:
            # The queue is full: first some of it has to be acknowledged.
            producer.poll(1)
# end


# example: events
def tell(producer, conversations, reads, group, landed):
    """A group, a message in it that asks for receipts, and that one of the members has read it."""
    created = events.GroupCreated(group_type="work", member_ids=["alice", "bob"])
    added = events.MembersAdded(member_ids=["carol"])
    sent = events.MessageSent(
        message_id="m1", sender_id="alice", need_read_receipt=True, all_members=events.AllMembers()
    )
    for event in [
        events.ConversationEvent(conversation_id=group, version=1, group_created=created),
        events.ConversationEvent(conversation_id=group, version=2, members_added=added),
        events.ConversationEvent(conversation_id=group, version=3, message_sent=sent),
    ]:
        publish(producer, conversations, event, landed)
    messages = events.MessageIds(message_ids=["m1"])
    publish(producer, reads, events.ReadEvent(conversation_id=group, reader_id="bob", messages=messages), landed)
# end
