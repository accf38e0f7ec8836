"""Programs that show dsync at work; `python -m examples.demo` starts them."""
