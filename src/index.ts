// The public surface of blockrank: everything that users may rely on is exported here, and nothing else.

export { BlockrankError, type ErrorCode } from '../graph-rewriter/errors.js';
export type { OnProgress, Progress } from './progress.js';

// Run: custom operators in onnxruntime-node.
export {
  register,
  registerCustomOpsLibrary,
  unregister,
  unregisterCustomOpsLibrary,
  type HookedRuntime,
  type RegisterOptions,
  type RegistrationInfo,
} from './loader/register.js';
export type { Device } from './device.js';
export { createSession, type CreatedSession, type CreateSessionOptions } from './session.js';

// Rewrite: inspect → plan → factorize → write, in one call or step by step.
export {
  type ModelPlan,
  planModel,
  rewrite,
  rewriteAs,
  type RewriteOptions,
  type SequentialOptions,
} from './rewrite.js';
export type { TokenFile } from './inputs/tokens.js';
export type { CalibrationSource, Feeds } from './calibrate.js';
export { inspectModel } from '../graph-rewriter/inspect.js';
export { planRewrite } from '../graph-rewriter/plan.js';
export { formatPlan, parsePlan } from '../graph-rewriter/plan-json.js';
export { applyPlan } from '../graph-rewriter/apply.js';
export { densifyModel } from '../graph-rewriter/densify.js';
export type {
  Activation,
  ApplyOptions,
  Compute,
  DensifyOptions,
  DensifyReport,
  FactorizeLayer,
  FactorType,
  LayerInfo,
  LayerPlan,
  LayerResult,
  ModelInfo,
  PlanOptions,
  Reason,
  ReasonCode,
  RewritePlan,
  RewriteReport,
} from '../graph-rewriter/types.js';

// Factorize: a weight matrix by itself.
export { factorize } from './factorize.js';
export type {
  DenseWeight,
  Factorization,
  FactorizeRequest,
  Factors,
  Int8Factors,
  Method,
  Quantization,
  Structure,
  StructureSpec,
} from '../graph-rewriter/factorize/types.js';
export { createEngine, type Engine, type EngineOptions } from '../graph-rewriter/factorize/engine.js';
export { collectCovariances, type Covariance } from '../graph-rewriter/calibration/index.js';

// Validate: two models on the same inputs.
export {
  validate,
  type OutputComparison,
  type ValidateOptions,
  type ValidationReport,
} from './validation/validate.js';
export { compareTensors, type Tolerance, type TensorComparison } from './validation/compare.js';
export type { InputOptions, Shapes } from './inputs/index.js';

// Report: what a rewrite cost and saved.
export { report, type ReportOptions } from './report/report.js';
export { renderReport } from './report/html.js';
export type {
  LayerReport,
  MatrixErrors,
  ModelAgreement,
  ModelReport,
  OutputAgreement,
} from './report/types.js';

// What is there on this machine.
export { doctor, type DoctorReport } from './doctor.js';
