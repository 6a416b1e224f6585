/** Blanks and hyphens that typography has beside the ordinary ones, and that stand between groups of digits as those do. */
const blanks = /[\u00A0\u2000-\u200A\u202F]/g;
const hyphens = /[\u2010-\u2015\u2212]/g;
const any = /[\u00A0\u2000-\u200A\u202F\u2010-\u2015\u2212]/;

/** The text with an ordinary blank or hyphen for each of them. As long as before, so places in it are places in the text. */
export function plainSeparators(text: string): string {
  return any.test(text) ? text.replace(blanks, ' ').replace(hyphens, '-') : text;
}
