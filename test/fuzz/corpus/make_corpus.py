"""Small models as today's exporters write them, for the fuzzer to damage: make_corpus.py DIR

Weights are of rank 2, so that a low-rank rewrite of an undamaged layer is exact and can be compared with its original.
Needs torch, transformers, onnx, onnxscript and onnxruntime; the files made by it are kept in the repository.
"""
import sys
import tempfile
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from torch import nn

SEED = 20512


def low_rank(module):
    for parameter in module.parameters():
        if parameter.ndim == 2:
            rows, columns = parameter.shape
            parameter.data = torch.randn(rows, 2) @ torch.randn(2, columns) / 4
    return module.eval()


def bert():
    from transformers import BertConfig, BertModel
    config = BertConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=40,
                        max_position_embeddings=16)
    return BertModel(config, add_pooling_layer=True), (torch.randint(0, 40, (1, 5)),)


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
                         num_key_value_heads=1, vocab_size=40, max_position_embeddings=16, tie_word_embeddings=True,
                         use_cache=False)
    return LlamaForCausalLM(config), (torch.randint(0, 40, (1, 5)),)


class Gates(nn.Module):
    """Gemm, an activation, and an If with a product of its own in each branch."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(16, 24)
        self.down = nn.Linear(24, 16)
        self.a = nn.Linear(16, 12, bias=False)
        self.b = nn.Linear(16, 12)

    def forward(self, x):
        x = self.down(nn.functional.silu(self.up(x)))
        if bool(x.sum() > 0):
            y = self.a(x)
        else:
            y = torch.relu(self.b(x))
        return y


def export(build, path, dynamo, half=False):
    torch.manual_seed(SEED)
    model, inputs = build()
    low_rank(model)
    if half:
        model = model.half()
    torch.onnx.export(model, inputs, path, dynamo=dynamo, external_data=False, verbose=False,
                      **({} if dynamo else {"opset_version": 17, "do_constant_folding": True}))
    save(onnx.load(path), path)


def save(model, path):
    """Without what the exporter noted about this machine."""
    del model.metadata_props[:]
    for graph in [model.graph, *model.functions]:
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    model.doc_string = ""
    onnx.save(model, path)
    print(path.name, path.stat().st_size)


class Samples:
    def __init__(self):
        self.left = 4

    def get_next(self):
        self.left -= 1
        return {"x": torch.randn(3, 16).numpy()} if self.left >= 0 else None


def quantized(path):
    torch.manual_seed(SEED)
    model = low_rank(nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 8)))
    with tempfile.TemporaryDirectory() as folder:
        dense = Path(folder) / "dense.onnx"
        torch.onnx.export(model, (torch.randn(3, 16),), dense, dynamo=False, opset_version=17, input_names=["x"])
        quantize_static(dense, path, Samples(), quant_format=QuantFormat.QDQ, weight_type=QuantType.QInt8,
                        per_channel=True)
    save(onnx.load(path), path)


def main(folder):
    export(bert, folder / "bert-dynamo.onnx", True)
    export(llama, folder / "llama-dynamo-fp16.onnx", True, half=True)
    export(lambda: (torch.jit.script(Gates()), (torch.randn(3, 16),)), folder / "gates-torchscript.onnx", False)
    quantized(folder / "mlp-qdq.onnx")


main(Path(sys.argv[1]))
