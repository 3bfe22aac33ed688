"""A question about an image, in three messages: a request, the image, a second question."""

from threadmill import Client, Message
from threadmill.job.message import ImagePart, ImageUrl

image = ImagePart(type="image_url", image_url=ImageUrl(url="examples/images/lighthouse.png"))
handle = Client().enqueue(
    {
        "messages": [
            Message(content="Tell me about the image."),
            Message(content=(image,)),
            Message(content="What would you change about it?"),
        ]
    }
)
print(handle.wait(timeout_s=300).text)
