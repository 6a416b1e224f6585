/** What is hidden from cloud members, and put back. `tandem/privacy`. The vault is not among the exports. */
export { detectors, searchFor, type Detector, type Found, type Hint, type Kind, type Search } from './detect/index.ts';
export { createMask, type Masked } from './mask.ts';
