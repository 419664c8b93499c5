"""The process of nio.ts: matrix-nio, spoken to in lines of JSON on standard input and output."""

import asyncio
import json
import sys
import tempfile
import time

from nio import (
    AsyncClient,
    AsyncClientConfig,
    EnableEncryptionBuilder,
    InviteMemberEvent,
    MegolmEvent,
    RoomMessageNotice,
    RoomMessageText,
)

client = None
messages = []
changed = asyncio.Event()


def note(room, event, decrypted):
    messages.append(
        {
            "eventId": event.event_id,
            "room": room.room_id,
            "sender": event.sender,
            "body": event.body if decrypted else "",
            "html": event.formatted_body if decrypted else None,
            "decrypted": decrypted,
        }
    )


async def on_text(room, event):
    note(room, event, True)


async def on_unreadable(room, event):
    note(room, event, False)


async def on_invite(room, event):
    if event.state_key == client.user_id and event.membership == "invite":
        await client.join(room.room_id)


async def sync_on():
    """Synchronises for ever and tells the waiting calls."""
    while True:
        await client.sync(timeout=10000)
        if client.should_upload_keys:
            await client.keys_upload()
        if client.should_query_keys:
            await client.keys_query()
        changed.set()
        changed.clear()


async def until(timeout_ms, look):
    end = time.monotonic() + timeout_ms / 1000
    while True:
        found = look()
        if found:
            return found
        rest = end - time.monotonic()
        if rest <= 0:
            raise TimeoutError(f"waited {timeout_ms} ms")
        try:
            await asyncio.wait_for(changed.wait(), min(rest, 0.5))
        except asyncio.TimeoutError:
            pass


async def start(options):
    global client
    config = AsyncClientConfig(encryption_enabled=True)
    client = AsyncClient(options["url"], options["name"], store_path=tempfile.mkdtemp(), config=config)
    await client.login(options["password"], device_name="nio")
    if client.should_upload_keys:
        await client.keys_upload()
    client.add_event_callback(on_text, (RoomMessageText, RoomMessageNotice))
    client.add_event_callback(on_unreadable, MegolmEvent)
    client.add_event_callback(on_invite, InviteMemberEvent)
    await client.sync(timeout=0, full_state=True)
    asyncio.create_task(sync_on())
    return {"user": client.user_id, "device": client.device_id}


async def create_room(invite):
    encryption = [EnableEncryptionBuilder().as_dict()]
    answer = await client.room_create(is_direct=True, invite=invite, initial_state=encryption)
    return answer.room_id


async def until_joined(room, user, timeout_ms):
    def there():
        known = client.rooms.get(room)
        return known and known.encrypted and user in known.users and user not in known.invited_users

    await until(timeout_ms, there)


async def send(room, body):
    content = {"msgtype": "m.text", "body": body}
    answer = await client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)
    return answer.event_id


async def typing(room, on):
    await client.room_typing(room, on)


async def typing_in(room):
    return list(client.rooms[room].typing_users)


async def read(room, event):
    await client.room_read_markers(room, event, event)


async def read_up_to(room, user):
    receipt = client.rooms[room].read_receipts.get(user)
    return receipt.event_id if receipt else None


async def list_messages(room):
    return [message for message in messages if message["room"] == room]


async def until_received(body, timeout_ms):
    return await until(timeout_ms, lambda: next((m for m in messages if m["decrypted"] and m["body"] == body), None))


calls = {
    "typing": typing,
    "typing_in": typing_in,
    "read": read,
    "read_up_to": read_up_to,
    "start": start,
    "create_room": create_room,
    "until_joined": until_joined,
    "send": send,
    "messages": list_messages,
    "until_received": until_received,
}


async def answer(line):
    request = json.loads(line)
    try:
        result = {"id": request["id"], "result": await calls[request["call"]](*request["arguments"])}
    except Exception as error:
        result = {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result, separators=(",", ":")), flush=True)


async def main():
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        asyncio.create_task(answer(line))


asyncio.run(main())
