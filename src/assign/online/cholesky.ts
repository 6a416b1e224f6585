/**
 * Cholesky factorisation of small positive definite matrices, row-major, lower triangle: A = L L^T. What lies above the
 * diagonal is neither read nor written.
 */
import { fail } from '../../errors.ts';

/** Replaces the lower triangle of A by L. @throws {TandemError} internal when A is not positive definite */
export function factorise(matrix: Float64Array, size: number): void {
  for (let j = 0; j < size; j++) {
    let pivot = matrix[j * size + j] as number;
    for (let k = 0; k < j; k++) pivot -= (matrix[j * size + k] as number) ** 2;
    if (!(pivot > 0)) fail('internal', 'A matrix that must be positive definite is not.');
    const root = Math.sqrt(pivot);
    matrix[j * size + j] = root;
    for (let i = j + 1; i < size; i++) {
      let sum = matrix[i * size + j] as number;
      for (let k = 0; k < j; k++) sum -= (matrix[i * size + k] as number) * (matrix[j * size + k] as number);
      matrix[i * size + j] = sum / root;
    }
  }
}

/** Solves L y = x into `into`, which may be `x` itself. */
export function solveLower(factor: Float64Array, x: ArrayLike<number>, into: Float64Array, size: number): void {
  for (let i = 0; i < size; i++) {
    let sum = x[i] as number;
    for (let k = 0; k < i; k++) sum -= (factor[i * size + k] as number) * (into[k] as number);
    into[i] = sum / (factor[i * size + i] as number);
  }
}

/** Solves L^T y = x into `into`, which may be `x` itself. */
export function solveUpper(factor: Float64Array, x: ArrayLike<number>, into: Float64Array, size: number): void {
  for (let i = size - 1; i >= 0; i--) {
    let sum = x[i] as number;
    for (let k = i + 1; k < size; k++) sum -= (factor[k * size + i] as number) * (into[k] as number);
    into[i] = sum / (factor[i * size + i] as number);
  }
}
