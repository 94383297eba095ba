"""What a sender and the readers do, against the server at the address given; it must be empty.

The one who started this reads its lines: at READY-FOR-KILL the server is to be killed and started again, and then GO
to be written.
"""

import sys

import grpc

import client
from receipts.v1 import event_pb2 as events
from receipts.v1 import receipt_service_pb2 as api

GROUP = "team"


class Sender:
    """What a sender's screen knows of its messages, from the stream alone."""

    def __init__(self):
        self.counts = {}
        self.readers = {}
        self.token = None

    def take(self, response):
        assert response.resume_token and not response.reset
        for delta in response.deltas:
            assert delta.sender_id == "ada" and delta.WhichOneof("change") == "receipt"
            assert not delta.more_readers and delta.consistency_token
            receipt = delta.receipt
            assert receipt.conversation_id == GROUP
            before = self.counts.get(receipt.message_id, (0, 0))
            assert receipt.read_count >= before[0], "a count went back"
            self.counts[receipt.message_id] = (receipt.read_count, receipt.unread_count)
            assert all(reader.HasField("read_at") for reader in delta.new_readers)
            self.readers.setdefault(receipt.message_id, set()).update(reader.user_id for reader in delta.new_readers)
        self.token = response.resume_token


def publish(receipts):
    group = events.GroupCreated(group_type="work", member_ids=["ada", "bob", "carl", "dora", "erin"])
    asked = [events.ConversationEvent(conversation_id=GROUP, group_created=group)]
    for message in ["m1", "m2"]:
        sent = events.MessageSent(
            message_id=message, sender_id="ada", need_read_receipt=True, all_members=events.AllMembers()
        )
        asked.append(events.ConversationEvent(conversation_id=GROUP, message_sent=sent))
    request = api.PublishConversationEventsRequest(events=asked, wait=True)
    response = receipts.PublishConversationEvents(request, timeout=10, wait_for_ready=True)
    assert [outcome.result for outcome in response.outcomes] == [api.EVENT_RESULT_APPLIED] * 3, response


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        info = client.error_info(error)
        assert info, error
        return error.code().name, info.reason, info.metadata
    raise AssertionError("the call did not fail")


def check_errors(receipts, token):
    def list_of(user, message):
        return failure(lambda: list(client.members(receipts, user, GROUP, message, api.MEMBER_FILTER_READ, token)))

    assert list_of("ada", "m99")[:2] == ("NOT_FOUND", "MESSAGE_NOT_FOUND")
    assert list_of("bob", "m1")[:2] == ("PERMISSION_DENIED", "NOT_ALLOWED")
    code, reason, metadata = failure(lambda: client.send_receipts(receipts, "bob", GROUP, ["m1"] * 101))
    assert (code, reason) == ("INVALID_ARGUMENT", "LIMIT_EXCEEDED")
    assert metadata["limit"] == "100" and metadata["field"] == "message_ids", metadata
    assert failure(lambda: next(client.watch(receipts, "ada", "damaged")))[1] == "INVALID_RESUME_TOKEN"
    # One message that cannot be answered does not fail the others.
    answers = client.counts(receipts, "ada", GROUP, ["m99", "m1"], token)
    assert answers["m99"] == "RECEIPT_ERROR_NOT_FOUND" and answers["m1"].read_count == 1, answers


def main(address):
    receipts = client.connect(address)
    publish(receipts)
    sender = Sender()

    # Live: the first response comes at once, then each change.
    live = client.watch(receipts, "ada")
    sender.take(next(live))
    assert sender.token and not sender.counts
    token = client.send_receipts(receipts, "bob", GROUP, ["m1"])
    while "m1" not in sender.counts:
        sender.take(next(live))
    assert sender.counts == {"m1": (1, 3)} and sender.readers == {"m1": {"bob"}}, sender.counts

    # Asked, in a state that has the read.
    receipt = client.counts(receipts, "ada", GROUP, ["m1"], token)["m1"]
    assert (receipt.read_count, receipt.unread_count) == (1, 3), receipt
    read = list(client.members(receipts, "ada", GROUP, "m1", api.MEMBER_FILTER_READ, token))
    assert [member.user_id for member in read] == ["bob"] and read[0].HasField("read_at"), read
    unread = client.members(receipts, "ada", GROUP, "m1", api.MEMBER_FILTER_UNREAD, token)
    assert [member.user_id for member in unread] == ["carl", "dora", "erin"]
    check_errors(receipts, token)

    # The client goes, somebody reads, the client comes back with its last token.
    live.close()
    client.send_receipts(receipts, "carl", GROUP, ["m1"])
    live = client.watch(receipts, "ada", sender.token)
    while sender.counts["m1"][0] < 2:
        sender.take(next(live))
    assert sender.counts == {"m1": (2, 2)} and sender.readers == {"m1": {"bob", "carl"}}, sender.counts

    # The server goes while the stream is open; somebody reads before the client is back.
    print("READY-FOR-KILL", flush=True)
    assert sys.stdin.readline().strip() == "GO"
    for message in ["m1", "m2"]:
        request = api.SendMessageReadReceiptsRequest(
            user_id="dora", conversation_id=GROUP, message_ids=[message], wait=True
        )
        response = receipts.SendMessageReadReceipts(request, timeout=10, wait_for_ready=True)
        assert list(response.outcomes) == [api.RECEIPT_OUTCOME_READ], response
        token = response.consistency_token
    while "m2" not in sender.counts:
        sender.take(next(live))
    assert sender.counts == {"m1": (3, 1), "m2": (1, 3)}, sender.counts
    assert sender.readers == {"m1": {"bob", "carl", "dora"}, "m2": {"dora"}}, sender.readers
    for message, receipt in client.counts(receipts, "ada", GROUP, ["m1", "m2"], token).items():
        assert sender.counts[message] == (receipt.read_count, receipt.unread_count), receipt
    live.close()
    print("DONE", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
