/** The first dimensions of a vector, brought to unit length; a vector of zeros stays one. @param dimensions 1 to the vector's length */
export function shortened(vector: Float32Array, dimensions: number): Float32Array {
  if (dimensions === vector.length) return vector;
  const kept = vector.slice(0, dimensions);
  const length = Math.sqrt(kept.reduce((sum, x) => sum + x * x, 0));
  return length > 0 ? kept.map((x) => x / length) : kept;
}
