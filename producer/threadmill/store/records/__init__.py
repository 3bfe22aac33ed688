"""What is stored, and how it is read: values alone. For store/ and all above; imports settings/ and job/."""
