import { describe, expect, it } from 'vitest';
import { textTable } from '../../kernel/text-table.ts';

const columns = [{ title: 'who' }, { title: 'bytes', align: 'right' }] as const;

describe('a text table', () => {
  it('aligns text to the left and figures to the right, and ends no line in blanks', () => {
    expect(
      textTable(columns, [
        ['ann', '5'],
        ['b', '1234567'],
        ['c', ''],
      ]),
    ).toEqual(['who    bytes', '---  -------', 'ann        5', 'b    1234567', 'c']);
  });

  it('sets its foot apart', () => {
    expect(textTable(columns, [['ann', '5']], ['all', '5'])).toEqual([
      'who  bytes',
      '---  -----',
      'ann      5',
      '---  -----',
      'all      5',
    ]);
  });

  it('counts what a reader sees as one character as one', () => {
    expect(textTable(columns, [['e\u0301👩‍👧', '1']])[2]).toMatch(/^e\u0301.+ {2,}1$/u);
    expect(textTable([{ title: 'x' }, { title: 'y' }], [['e\u0301', 'z']])).toEqual(['x  y', '-  -', 'e\u0301  z']);
  });

  it('shows characters that would move the cursor as what they are not', () => {
    expect(textTable(columns, [['a\u001b[2Jb\n', '1']])[2]).toBe('a\uFFFD[2Jb\uFFFD      1');
  });
});
