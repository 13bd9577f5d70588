"""A trained run -> one ONNX file that needs no torch."""
