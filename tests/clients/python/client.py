"""A client of receiptd in Python. The marked sections stand in docs/clients.md."""

# example: connect
import time

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from receipts.v1 import receipt_service_pb2 as api
from receipts.v1.receipt_service_pb2_grpc import ReceiptServiceStub


def connect(address):
    # With pings, a connection that was lost in silence is noticed.
    pings = {"grpc.keepalive_time_ms": 20_000, "grpc.keepalive_timeout_ms": 10_000}
    return ReceiptServiceStub(grpc.insecure_channel(address, options=list(pings.items())))
# end


# example: send
def send_receipts(receipts, reader, conversation, messages):
    """`reader` has read these messages; a token of a state that counts it."""
    request = api.SendMessageReadReceiptsRequest(
        user_id=reader, conversation_id=conversation, message_ids=messages
    )
    return receipts.SendMessageReadReceipts(request, timeout=5).consistency_token
# end


# example: ask
def counts(receipts, sender, conversation, messages, token):
    """By message, its receipt or why there is none, of a state that includes `token`."""
    request = api.GetMessageReadReceiptsRequest(
        user_id=sender,
        messages=[api.MessageRef(conversation_id=conversation, message_id=message) for message in messages],
        consistency_tokens=[token],
    )
    results = receipts.GetMessageReadReceipts(request, timeout=5).results
    return {
        result.message.message_id: result.receipt if result.HasField("receipt") else api.ReceiptError.Name(result.error)
        for result in results
    }


def members(receipts, sender, conversation, message, member_filter, token):
    """Who has, or has not, read a message: all pages, one after the other."""
    request = api.GetGroupMessageReadMemberListRequest(
        user_id=sender,
        message=api.MessageRef(conversation_id=conversation, message_id=message),
        filter=member_filter,
        page_size=1_000,
        consistency_tokens=[token],
    )
    while True:
        page = receipts.GetGroupMessageReadMemberList(request, timeout=5)
        yield from page.members
        if page.is_finished:
            return
        request.page_token = page.next_page_token
        request.consistency_tokens[:] = [page.consistency_token]
# end


# example: subscribe
def watch(receipts, sender, token=None):
    """What changes for `sender`, from `token` on or else from now; a lost connection is made again."""
    while True:
        request = api.SubscribeMessageReadReceiptsRequest(user_id=sender, resume_token=token)
        stream = receipts.SubscribeMessageReadReceipts(request, wait_for_ready=True)
        try:
            for response in stream:
                yield response
                # What came before it has been dealt with, and need not be told again.
                token = response.resume_token
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
        finally:
            stream.cancel()
        time.sleep(1)
# end


# example: errors
def error_info(error):
    """Why the server refused: the reason, and what varies in it. None where a connection was lost."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info = ErrorInfo()
            detail.Unpack(info)
            return info
# end
