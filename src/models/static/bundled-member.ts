/** The bundled embedder as a member of every deployment: `tandem/embed`, for embeddings alone. */
import type { Member } from '../team.ts';
import { bundledStatic, openStaticModel } from './index.ts';

let opened: Member<'device'> | undefined;

/**
 * The member, one a process; the table is read when it is first asked for.
 * @param id the id that traces show
 * @throws {TandemError} model_file_missing, model_file_invalid
 */
export function bundledEmbedMember(id: string): Member<'device'> {
  return (opened ??= { id, roles: ['embed'], model: openStaticModel(id, { file: bundledStatic }, { baseDir: '.' }) });
}
