/** Every detector: what it must find, what it must leave, and that it stays quick on hostile texts. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { detectors, searchFor, type Kind } from './index.ts';

const all = searchFor(['email', 'phone', 'card', 'iban', 'key']);
const found = (text: string): string[] => all.find(text).map(({ kind, start, end }) => `${kind} ${text.slice(start, end)}`);

const cases: readonly { readonly kind: Kind; readonly finds: readonly (readonly [text: string, value: string])[]; readonly leaves: readonly string[] }[] = [
  {
    kind: 'email',
    finds: [
      ['write to jane.doe+tag@mail.example.co.uk.', 'jane.doe+tag@mail.example.co.uk'],
      ['<jörg.müller@exämple.de>', 'jörg.müller@exämple.de'],
      ["'a_b@c.io',", 'a_b@c.io'],
      ['mailto:x@y.museum?subject=1', 'x@y.museum'],
      ['o\'neil@irish.ie', 'o\'neil@irish.ie'],
      ['(user@xn--bcher-kva.example)', 'user@xn--bcher-kva.example'],
    ],
    leaves: ['@home', 'user@localhost', 'a @ b.de', 'x@', '@@@@', 'user@-x.de', 'a..b@c.de', 'git@github', '.@x.de', 'foo@1.2'],
  },
  {
    kind: 'phone',
    finds: [
      ['call +49 170 1234567 now', '+49 170 1234567'],
      ['+1-984-182-0190', '+1-984-182-0190'],
      ['tel:+14155552671', '+14155552671'],
      ['(555) 123-4567', '(555) 123-4567'],
      ['345-899-3560x4587', '345-899-3560x4587'],
      ['My mobile is 9498777106.', '9498777106'],
      ['030/12345-67, bitte', '030/12345-67'],
      ['03.93.92.16.85', '03.93.92.16.85'],
      ['call me at 555 0199 42', '555 0199 42'],
      ['0049 89 123456', '0049 89 123456'],
      ['18,415-555-2671', '415-555-2671'],
      ['18,+49 170 1234567,x', '+49 170 1234567'],
      ['18,0170 1234567', '0170 1234567'],
      ['415\u2011555\u20112671', '415\u2011555\u20112671'],
      ['+49\u00A0170\u20111234567', '+49\u00A0170\u20111234567'],
      ['415\u2013555\u20132671', '415\u2013555\u20132671'],
      ['(415)\u00A0555\u20132671', '(415)\u00A0555\u20132671'],
    ],
    leaves: ['10,000-4000', '11,600-4000-4800', '1\u00A0000\u00A0000', 'from 1901\u20132012', 'living 973\u20131048', '1000 \u2013 500 \u2013 100', 'during 2000-2001', '2026-01-31', '31.01.2026 12:30', '192.168.100.200', '1,234,567.89', '1 000 000', '1234567', 'v1.2.3', '3.14159265', '12:30:45', '2019-2021', '$1.234.567', '978-3-16-148410-0', 'order number 5551234567', '9:00-17:00', 'ISO 8601-1', 'abc1234567890', '0.1 0.2 0.3', '100000000', '10/100/1000'],
  },
  {
    kind: 'card',
    finds: [
      ['4111111111111111', '4111111111111111'],
      ['card: 5500 0055 5555 5559.', '5500 0055 5555 5559'],
      ['3782-822463-10005', '3782-822463-10005'],
      ['6011000990139424 ok', '6011000990139424'],
      ['2223003122003222', '2223003122003222'],
      ['no. 1 4111 1111 1111 1111 12/27', '4111 1111 1111 1111'],
      ['4111-1111-1111-1111 123', '4111-1111-1111-1111'],
      ['Ann,4111111111111111,12/29', '4111111111111111'],
      ['12,4111 1111 1111 1111,5', '4111 1111 1111 1111'],
      ['card no.4111111111111111', '4111111111111111'],
      ['4111\u00A01111\u00A01111\u00A01111', '4111\u00A01111\u00A01111\u00A01111'],
      ['3782\u2011822463\u201110005', '3782\u2011822463\u201110005'],
    ],
    leaves: ['4111111111111112', '1234567890123456', '41111111111111111111111', '0000000000000000', 'x4111111111111111', '1.4111111111111111', '4111111111111111.5', '4111 1111 1111 111'],
  },
  {
    kind: 'iban',
    finds: [
      ['DE89370400440532013000', 'DE89370400440532013000'],
      ['IBAN: DE89 3704 0044 0532 0130 00.', 'DE89 3704 0044 0532 0130 00'],
      ['gb29nwbk60161331926819', 'gb29nwbk60161331926819'],
      ['NO93 8601 1117 947', 'NO93 8601 1117 947'],
      ['NO93\u202F8601\u202F1117\u202F947', 'NO93\u202F8601\u202F1117\u202F947'],
      ['MT84MALT011000012345MTLCAST001S', 'MT84MALT011000012345MTLCAST001S'],
    ],
    leaves: ['DE89370400440532013001', 'XX89370400440532013000', 'DE8937040044053201300', 'GB29NWBK601613319268190', 'DE89 370400440532013000x', 'AB12 word word'],
  },
  {
    kind: 'key',
    finds: [
      ['sk-proj-Abcdefghij1234567890_-xyz', 'sk-proj-Abcdefghij1234567890_-xyz'],
      ['export KEY=AKIAIOSFODNN7EXAMPLE', 'AKIAIOSFODNN7EXAMPLE'],
      ['ghp_abcdefghijklmnopqrstuvwxyz0123456789', 'ghp_abcdefghijklmnopqrstuvwxyz0123456789'],
      ['password: hunter2!', 'hunter2!'],
      ['"api_key": "a1b2c3d4e5f6"', 'a1b2c3d4e5f6'],
      ['Authorization: Bearer abc.DEF-123_456xyz', 'abc.DEF-123_456xyz'],
      ['postgres://admin:s3cr3t@db:5432/x', 's3cr3t'],
      ['DB_PASS=q8Zk2mW9xLr4TvB7', 'q8Zk2mW9xLr4TvB7'],
      ["STRIPE_KEY='q8Zk2mW9xLr4TvB7'", 'q8Zk2mW9xLr4TvB7'],
      ['xoxb-123456789012-abcdefABCDEF', 'xoxb-123456789012-abcdefABCDEF'],
      ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123-_x', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123-_x'],
      ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----', '-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----'],
      ['-----BEGIN PRIVATE KEY-----\nMIIEcutoff', '-----BEGIN PRIVATE KEY-----\nMIIEcutoff'],
      ['-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 2.1, x\n\nlQOY\nabc=, and', '-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 2.1, x\n\nlQOY\nabc='],
      ['"-----BEGIN RSA PRIVATE KEY-----\\nDEK-Info: AES-128-CBC,9F\\n\\nlQOY\\nabc="', '-----BEGIN RSA PRIVATE KEY-----\\nDEK-Info: AES-128-CBC,9F\\n\\nlQOY\\nabc='],
      ['redis://:pa55word@cache:6379/0', 'pa55word'],
    ],
    leaves: ['http://:8080/a@b', 'the token count is 1234', 'forgot my password', 'password: ********', 'api_key: ${API_KEY}', 'the secret garden 1911', 'skip-this-one', 'a bearer of bad news', 'token: required', 'https://example.com/path', 'password: <KEY_1>', 'key: value', 'primary_key = user_id2', 'const token = getToken()', 'max_tokens: 1024', 'password = process.env.DB_PASS1'],
  },
];

for (const { kind, finds, leaves } of cases) {
  test(`${kind}: finds`, () => {
    for (const [text, value] of finds) assert.deepEqual(found(text), [`${kind} ${value}`], text);
  });
  test(`${kind}: leaves alone`, () => {
    const only = searchFor([kind]);
    for (const text of leaves) assert.deepEqual(only.find(text).map(({ start, end }) => text.slice(start, end)), [], text);
  });
  test(`${kind}: the hint matches wherever there is something to find`, () => {
    for (const [text] of finds) {
      assert.ok(searchFor([kind]).mayHold(text), text);
      assert.ok(all.mayHold(text), text);
    }
  });
}

test('every detector has its cases', () => assert.deepEqual(detectors.map(({ kind }) => kind).toSorted(), cases.map(({ kind }) => kind).toSorted()));

test('several values in one text, and only the kinds that are asked for', () => {
  const text = 'Ann <ann@x.de>, +49 170 1234567, card 4111 1111 1111 1111, DE89370400440532013000';
  assert.deepEqual(found(text), ['email ann@x.de', 'phone +49 170 1234567', 'card 4111 1111 1111 1111', 'iban DE89370400440532013000']);
  assert.deepEqual(searchFor(['email']).find(text).length, 1);
  assert.equal(searchFor([]).mayHold(text), false);
});

test('each number of a list is a value', () => {
  assert.deepEqual(found('[4111111111111111,4012888888881881]'), ['card 4111111111111111', 'card 4012888888881881']);
  assert.deepEqual(found('415-555-2671,415-555-2672'), ['phone 415-555-2671', 'phone 415-555-2672']);
});

test('values that overlap are one, and nothing of them is left', () => {
  const text = 'https://user:p1@host@example.com/x password=ann@example.com1!';
  const values = all.find(text);
  values.forEach(({ start, end }, index) => assert.ok(start < end && start >= (values[index - 1]?.end ?? 0)));
  const rest = values.toReversed().reduce((left, { start, end }) => left.slice(0, start) + left.slice(end), text);
  assert.doesNotMatch(rest, /ann@|p1/);
});

test('hostile texts of 200 kB take no more than seconds', { timeout: 30_000 }, () => {
  const size = 200_000;
  for (const unit of ['@', 'a@', '1', '1 ', '+1', '(1', 'sk-', 'eyJ', 'a', 'password:', '-----BEGIN PRIVATE KEY-----', '-----BEGIN PRIVATE KEY-----\nA: b\n', '://a:', '://:', '\u2011', '1\u00A0', 'DE89', '4111 ', 'x@y.', '\\', '1-', '12/']) {
    const text = unit.repeat(size / unit.length);
    const start = process.cpuUsage();
    all.mayHold(text);
    all.find(text);
    const { user } = process.cpuUsage(start);
    assert.ok(user < 5_000_000, `${unit}: ${user} microseconds`);
  }
});
