"""What goes out: representations of images, imports and tasks as plain JSON values."""
