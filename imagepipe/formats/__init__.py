"""What an image's bytes are, and how they become other bytes.

Inspection of untrusted streams, the rules that judge what was found,
qemu-img behind one interface and under limits, decompression under caps.
The only package that starts processes. It knows nothing of images as records,
of stores, of HTTP: values come in, verdicts and files go out.
"""
