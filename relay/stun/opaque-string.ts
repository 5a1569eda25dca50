/**
 * The OpaqueString profile of PRECIS (RFC 8265 §4.2), which STUN prepares realms, names and passwords with (RFC 8489 §9.2.2):
 * every space becomes U+0020, then NFC, then only what the FreeformClass (RFC 8264 §4.3) allows, and at least one of it.
 *
 * One rule is stricter than the class: ZERO WIDTH JOINER and NON-JOINER are refused everywhere, because where they may stand
 * depends on joining types and viramas (RFC 5892 appendix A.1, A.2), which ECMAScript does not know.
 */

/** Printable ASCII: what nearly every name is made of, and what the profile leaves alone. */
const PLAIN = /^[\x20-\x7e]+$/;

/** RFC 8264 §9.1 to §9.18 as far as they allow; controls, formats, private use, surrogates and the unassigned are in none. */
const FREEFORM = /^[\p{L}\p{M}\p{N}\p{Zs}\p{S}\p{P}]+$/u;
/** PrecisIgnorableProperties, OldHangulJamo, and the exceptions that are DISALLOWED (RFC 8264 §9.6). */
const DISALLOWED =
  /[\p{DI}\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7c6\ud7cb-\ud7fb\u0640\u07fa\u302e\u302f\u3031-\u3035\u303b]/u;

/** Code points that are allowed only in some company (CONTEXTO, RFC 5892 appendix A.3 to A.9): each pattern finds one out of it. */
const OUT_OF_CONTEXT: readonly RegExp[] = [
  /(?<!l)\u00b7|\u00b7(?!l)/u, // MIDDLE DOT, but between two l
  /\u0375(?!\p{Script=Greek})/u, // GREEK LOWER NUMERAL SIGN, but before Greek
  /(?<!\p{Script=Hebrew})[\u05f3\u05f4]/u, // HEBREW PUNCTUATION GERESH and GERSHAYIM, but after Hebrew
  /^[^\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]*\u30fb[^\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Han}]*$/u,
  /[\u0660-\u0669].*[\u06f0-\u06f9]|[\u06f0-\u06f9].*[\u0660-\u0669]/su, // ARABIC-INDIC and EXTENDED digits together
];

/** The prepared text; undefined when the profile forbids it. */
export function opaqueString(text: string): string | undefined {
  if (PLAIN.test(text)) return text;
  const prepared = text.replace(/\p{Zs}/gu, ' ').normalize('NFC');
  if (!FREEFORM.test(prepared) || DISALLOWED.test(prepared)) return undefined;
  return OUT_OF_CONTEXT.some((pattern) => pattern.test(prepared)) ? undefined : prepared;
}
