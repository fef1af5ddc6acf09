"""Networks that other libraries make or store: timm, Hugging Face, ONNX."""
