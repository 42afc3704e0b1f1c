// The 19 layers of the paper's benchmark: sizes, blocks, ranks and the layer's own number of tokens.
#pragma once

#include <cstdint>

namespace blockrank::bench {

struct BenchLayer {
  const char *network, *name;
  int64_t in, out, blast_b, blast_r;
  int64_t monarch_b, monarch_r;  // rank of each block; 0: not in the paper
  int64_t tokens;
};

constexpr BenchLayer kLayers[] = {
    {"llama7b", "down_proj", 11008, 4096, 16, 1488, 16, 96, 1024},
    {"llama7b", "gate_up_proj", 4096, 11008, 16, 1488, 16, 96, 1024},
    {"llama7b", "qkvo_proj", 4096, 4096, 16, 1024, 16, 64, 1024},
    {"llama1b", "down_proj", 8192, 2048, 16, 768, 16, 48, 1024},
    {"llama1b", "gate_proj", 2048, 8192, 16, 512, 16, 32, 1024},
    {"llama1b", "qo_proj", 2048, 2048, 16, 256, 16, 16, 1024},
    {"llama1b", "up_proj", 2048, 8192, 16, 768, 16, 48, 1024},
    {"gpt2s", "c_attn", 768, 2304, 6, 192, 4, 48, 384},
    {"gpt2s", "mlp_c_fc", 768, 3072, 6, 192, 4, 48, 384},
    {"gpt2s", "mlp_c_proj", 3072, 768, 6, 192, 4, 48, 384},
    {"vit_b_patch16_224", "attn_qkv", 768, 2304, 3, 128, 4, 32, 197},
    {"vit_b_patch16_224", "mlp_fc1", 768, 3072, 3, 128, 4, 32, 197},
    {"vit_b_patch16_224", "mlp_fc2", 3072, 768, 3, 128, 4, 32, 197},
    {"vit_b_patch8_224", "attn_qkv", 768, 2304, 3, 128, 4, 32, 785},
    {"vit_b_patch8_224", "mlp_fc1", 768, 3072, 3, 128, 4, 32, 785},
    {"vit_b_patch8_224", "mlp_fc2", 3072, 768, 3, 128, 4, 32, 785},
    {"dit_xl", "adaln", 1152, 6912, 9, 256, 0, 0, 16384},
    {"dit_xl", "fc1", 1152, 4608, 9, 256, 0, 0, 16384},
    {"dit_xl", "qkv_proj", 1152, 3456, 9, 384, 0, 0, 16384},
};

}  // namespace blockrank::bench
