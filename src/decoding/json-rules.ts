/** Rules in GBNF that every grammar of a JSON Schema may use: JSON itself (RFC 8259) and formats of texts. */

/** Rules of JSON, and parts of formats. */
export const primitives: Readonly<Record<string, string>> = {
  space: '( " " | "\\n" " "{0,8} )?',
  hex: '[0-9a-fA-F]',
  char: '[^"\\\\\\x7F\\x00-\\x1F] | "\\\\" ( ["\\\\/bfnrt] | "u" ( [0-9a-cefA-CEF] hex | [dD] [0-7] ) hex hex )',
  string: '"\\"" char* "\\""',
  integer: '"-"? ( "0" | [1-9] [0-9]{0,14} )',
  number: 'integer ( "." [0-9]{1,15} )? ( [eE] [-+]? [0-9]{1,2} )?',
  boolean: '"true" | "false"',
  null: '"null"',
  value: 'string | number | boolean | null | object | array',
  object: '"{" space ( string ":" space value ( "," space string ":" space value )* space )? "}"',
  array: '"[" space ( value ( "," space value )* space )? "]"',
  digit: '[0-9]',
  date: 'digit{4} "-" ( "0" [1-9] | "1" [0-2] ) "-" ( "0" [1-9] | "1" digit | "2" [0-8] )',
  clock: '( [01] digit | "2" [0-3] ) ":" [0-5] digit ":" [0-5] digit ( "." digit{1,6} )? ( "Z" | [-+] ( [01] digit | "2" [0-3] ) ":" [0-5] digit )',
  octet: '"25" [0-5] | "2" [0-4] digit | "1" digit digit | [1-9] digit | digit',
};

/** Text formats, by their rule inside the quotes. Dates leave out the 29th to 31st, which not every month has. */
export const formats: Readonly<Record<string, string>> = {
  date: 'date',
  time: 'clock',
  'date-time': 'date "T" clock',
  uuid: 'hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}',
  ipv4: 'octet "." octet "." octet "." octet',
  email: '[a-z0-9] [a-z0-9._-]{0,30} "@" ( [a-z0-9] [a-z0-9-]{0,20} "." ){1,3} [a-z]{2,8}',
  hostname: '( [a-z0-9] [a-z0-9-]{0,20} "." ){0,3} [a-z0-9]{1,20}',
  duration: '"P" ( digit{1,4} "D" | "T" digit{1,4} [HMS] )',
};
