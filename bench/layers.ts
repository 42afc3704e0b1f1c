// The 19 layers of arXiv 2512.20861 (its tables of layer configurations), as data.

export interface BenchLayer {
  readonly name: string;
  readonly in: number;
  readonly out: number;
  /** BLAST blocks on each side, and rank. */
  readonly blocks: number;
  readonly rank: number;
  /** Tokens of the paper's own runs. */
  readonly sequence: number;
}

const layer = (
  name: string,
  [inSize, out]: readonly [number, number],
  [blocks, rank]: readonly [number, number],
  sequence: number,
): BenchLayer => ({ name, in: inSize, out, blocks, rank, sequence });

export const LAYERS: readonly BenchLayer[] = [
  layer('llama7b.down_proj', [11008, 4096], [16, 1488], 1024),
  layer('llama7b.gate_up_proj', [4096, 11008], [16, 1488], 1024),
  layer('llama7b.qkvo_proj', [4096, 4096], [16, 1024], 1024),
  layer('llama1b.down_proj', [8192, 2048], [16, 768], 1024),
  layer('llama1b.gate_proj', [2048, 8192], [16, 512], 1024),
  layer('llama1b.up_proj', [2048, 8192], [16, 768], 1024),
  layer('llama1b.qo_proj', [2048, 2048], [16, 256], 1024),
  layer('gpt2s.mlp_c_fc', [768, 3072], [6, 192], 384),
  layer('gpt2s.mlp_c_proj', [3072, 768], [6, 192], 384),
  layer('gpt2s.c_attn', [768, 2304], [6, 192], 384),
  layer('vit_b_patch16.mlp_fc1', [768, 3072], [3, 128], 197),
  layer('vit_b_patch16.mlp_fc2', [3072, 768], [3, 128], 197),
  layer('vit_b_patch16.attn_qkv', [768, 2304], [3, 128], 197),
  layer('vit_b_patch8.mlp_fc1', [768, 3072], [3, 128], 785),
  layer('vit_b_patch8.mlp_fc2', [3072, 768], [3, 128], 785),
  layer('vit_b_patch8.attn_qkv', [768, 2304], [3, 128], 785),
  layer('dit_xl.adaln', [1152, 6912], [9, 256], 16384),
  layer('dit_xl.fc1', [1152, 4608], [9, 256], 16384),
  layer('dit_xl.qkv_proj', [1152, 3456], [9, 384], 16384),
];
