"""Reads the published weights and rounds them to int8."""

from __future__ import annotations

import json

import numpy as np


def tensors(data: bytes) -> dict[str, np.ndarray]:
    """Returns the float32 tensors of a safetensors file by name; arrays are views of `data`.

    The format: u64 length of the header (little-endian) ‖ header ‖ body. The header is JSON: name →
    dtype, shape, first and last byte in the body.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            array = np.frombuffer(data, "<f4", (last - first) // 4, start + first)
            arrays[name] = array.reshape(entry["shape"])
    return arrays


def quantize(
    weight: np.ndarray, axes: tuple[int, ...], largest: int = 127
) -> tuple[np.ndarray, np.ndarray]:
    """Rounds float32 weights to int8, with one scale for each index of `axes`.

    Symmetric: 0 stays 0 and the largest magnitude becomes `largest`. Uses maxima and single
    operations that IEEE 754 rounds exactly, so every machine gets the same bytes. Returns int8
    values of the same shape, and float32 scales whose other axes have length 1;
    weight ≈ values · scales.
    """
    other = tuple(axis for axis in range(weight.ndim) if axis not in axes)
    peaks = np.abs(weight).max(axis=other, keepdims=True)
    scales = np.where(peaks > 0, peaks / np.float32(largest), np.float32(1))
    values = np.clip(np.rint(weight / scales), -largest, largest).astype(np.int8)
    return values, scales
