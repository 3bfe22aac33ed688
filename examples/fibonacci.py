"""Code interpreter: the server runs a program of the model's; its source and output come back as steps."""

from threadmill import Client

handle = Client().enqueue(
    {
        "prompt": "Compute the first 20 Fibonacci numbers with a program.",
        "tools": [{"type": "code_interpreter"}],
        "include_steps": True,
    }
)
result = handle.wait(timeout_s=300)
for step in result.steps:
    print(f"--- the program\n{step['input']}\n--- its output\n{step['logs']}")
print(f"--- the answer\n{result.text}")
