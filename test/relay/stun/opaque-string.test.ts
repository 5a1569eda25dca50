import { describe, expect, it } from 'vitest';
import { opaqueString } from '../../../relay/stun/opaque-string.ts';

describe('the OpaqueString profile (RFC 8265 §4.2)', () => {
  it.each([
    ['1763640000:key.c2VhbA', '1763640000:key.c2VhbA'],
    [' two  words ', ' two  words '],
    ['correct horse battery staple', 'correct horse battery staple'],
    ['Correct Horse Battery Staple', 'Correct Horse Battery Staple'],
    ['\u03c0\u00df\u00e5', '\u03c0\u00df\u00e5'],
    ['Jack of \u2666s', 'Jack of \u2666s'],
    ['foo\u1680bar', 'foo bar'],
    ['a\u00a0b\u3000c', 'a b c'],
    ['e\u0301', '\u00e9'],
    ['\u2168\u00aa', '\u2168\u00aa'],
    ['l\u00b7l', 'l\u00b7l'],
    ['\u0375\u03b1', '\u0375\u03b1'],
    ['\u05d0\u05f3', '\u05d0\u05f3'],
    ['\u30a2\u30fb', '\u30a2\u30fb'],
    ['\u0661\u0662', '\u0661\u0662'],
    ['\u{1f600}', '\u{1f600}'],
  ])('prepares %j', (given, prepared) => {
    expect(opaqueString(given)).toBe(prepared);
    expect(opaqueString(prepared)).toBe(prepared);
  });

  it.each([
    ['nothing at all', ''],
    ['a control character', 'my cat is a \u0009by'],
    ['DELETE', 'a\u007f'],
    ['an ignorable one', 'The\u00adMatrix'],
    ['a variation selector', 'a\ufe0f'],
    ['a joiner', 'a\u200d'],
    ['an old Hangul jamo that does not compose', '\u115f'],
    ['an exception that is disallowed', '\u0640'],
    ['a format character', '\u0600'],
    ['private use', '\ue000'],
    ['a noncharacter', '\ufdd0'],
    ['an unassigned code point', '\u0378'],
    ['half a surrogate pair', '\ud800'],
    ['a line separator', '\u2028'],
    ['a middle dot out of its company', 'a\u00b7l'],
    ['a numeral sign before no Greek', '\u0375a'],
    ['a geresh after no Hebrew', 'a\u05f3'],
    ['a katakana middle dot alone', 'a\u30fb'],
    ['two kinds of Arabic digits', '\u0661\u06f1'],
  ])('forbids %s', (_name, given) => {
    expect(opaqueString(given)).toBeUndefined();
  });
});
