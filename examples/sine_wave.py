"""A picture the model draws, downloaded; then a wish about it on the same thread, and the thread deleted."""

from threadmill import Client, JobResult

client = Client()
code = {"tools": [{"type": "code_interpreter"}]}


def show(result: JobResult) -> None:
    print(result.text)
    for file in result.files:
        print(f"  {file.name}: {file.size:,} bytes of {file.media_type}, sha256 {str(file.sha256)[:12]}, at {file.uri}")


first = client.enqueue({"prompt": "Plot a sine wave.", "keep_thread": True, **code}).wait(timeout_s=300)
show(first)
second = client.enqueue({"prompt": "I prefer dark mode.", "thread": first.thread_id, **code}).wait(timeout_s=300)
show(second)
client.delete_thread(str(first.thread_id))
