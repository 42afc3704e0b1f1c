/** The processor, and the instruction set that the operators chose for it. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';

export interface CpuReport {
  readonly model: string;
  readonly threads: number;
  /** Vector extensions that matter to the kernels, as Linux names them. */
  readonly features: readonly string[];
}

/** As the ops library reports itself (BlockrankBuildInfo). */
export interface BuildInfo {
  readonly version: string;
  /** Instruction set that its kernels chose on this machine. */
  readonly isa: string;
  /** Kernels for `compute` = int8 and bfloat16; null where float32 takes their place. */
  readonly int8?: string | null;
  readonly bfloat16?: string | null;
  readonly features: readonly string[];
  /** Its CUDA kernels (libblockrank_cuda.so): loaded from `library`, or the `reason` why not. No GPU is asked for. */
  readonly cuda?: { readonly available: boolean; readonly library?: string; readonly reason?: string };
}

const RELEVANT =
  /^(avx2|fma|f16c|avx512(f|bw|vl|dq|_vnni|_bf16|_fp16)|avx_vnni|amx_\w+|asimd|asimdhp|asimddp|i8mm|bf16|sve2?)$/;

export function describeCpu(): CpuReport {
  return { model: cpus()[0]?.model ?? 'unknown', threads: availableParallelism(), features: cpuFeatures() };
}

function cpuFeatures(): string[] {
  try {
    const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    return (line?.[1] ?? '').split(/\s+/).filter((flag) => RELEVANT.test(flag));
  } catch {
    return [];
  }
}
