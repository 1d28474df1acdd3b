import { describe, expect, it } from '@jest/globals';
import { auditCsv, auditFactors, type MemberFactors } from '../../src/core/factor-audit.js';
import type { SecondFactors } from '../../src/core/second-factors.js';
import { factorRig } from '../rig/factor-rig.js';

/** Reads RFC 4180, every cell quoted: what a spreadsheet takes for the text of each cell. */
function cellsOf(csv: string): string[][] {
  const lines = csv.split('\r\n');
  expect(lines.pop()).toBe('');
  return lines.map((line) => {
    const cells: string[] = [];
    let rest = line;
    while (rest !== '') {
      const [whole = '', quoted = ''] = /^"((?:[^"]|"")*)"(?:,|$)/.exec(rest) ?? [];
      if (whole === '') throw new Error(`not a quoted cell: ${rest}`);
      cells.push(quoted.replaceAll('""', '"'));
      rest = rest.slice(whole.length);
    }
    return cells;
  });
}

const columns = ['id', 'name', 'factor', 'factor_name', 'since', 'last_used', 'backup_codes_left'];

function rowOf(facts: Partial<MemberFactors>): MemberFactors {
  return { id: 'alice', name: 'Alice', enrolled: false, factors: [], backup_codes_left: 0, ...facts };
}

const since = '2030-01-01T00:00:00.000Z';

describe('auditFactors', () => {
  it('says who has what, since when, last used when, and how many codes are left', async () => {
    const rig = factorRig();
    const alice = { id: 'alice' };
    const { secret, backupCodes } = await rig.addTotp(alice, { name: 'Phone' });
    await rig.addKey(alice);
    expect(await rig.judge(rig.code(secret), alice)).toBe('verified');
    expect(await rig.judge(backupCodes[0] ?? '', alice)).toBe('verified');
    const rows = await auditFactors(rig.factors, [{ ...alice, name: 'Alice A.' }, { id: 'bob' }]);
    expect(rows).toEqual([
      {
        id: 'alice',
        name: 'Alice A.',
        enrolled: true,
        factors: [
          { type: 'totp', name: 'Phone', created_at: since, last_used_at: '2030-01-01T00:02:00.000Z' },
          {
            type: 'webauthn',
            name: 'Security key',
            created_at: '2030-01-01T00:01:00.000Z',
            last_used_at: null,
          },
        ],
        backup_codes_left: 9,
      },
      { id: 'bob', name: '', enrolled: false, factors: [], backup_codes_left: 0 },
    ]);
  });

  it('counts one factor as enrolled, and codes that are used up as none', async () => {
    const rig = factorRig();
    const { backupCodes } = await rig.addTotp();
    for (const code of backupCodes) expect(await rig.judge(code)).toBe('verified');
    const [row] = await auditFactors(rig.factors, [{ id: 'alice' }]);
    expect(row).toMatchObject({ enrolled: true, factors: [{ type: 'totp' }], backup_codes_left: 0 });
  });

  it('shows no secret, hash or credential, whatever a member holds', async () => {
    const rig = factorRig();
    const { secret, id, backupCodes } = await rig.addTotp();
    const key = await rig.addKey();
    const member = { id: 'alice', name: 'Alice', password: 'CANARY', hash: 'CANARY' };
    const rows = await auditFactors(rig.factors, [member]);
    const record = await rig.record();
    const text = JSON.stringify(rows) + auditCsv(rows);
    const sealed = record?.list.map((factor) => factor['secret'] ?? factor['publicKey']) ?? [];
    const kept = [secret, id, key.id, ...backupCodes, ...(record?.codes?.hashes ?? []), ...sealed, 'CANARY'];
    expect(kept.length).toBeGreaterThan(20);
    for (const one of kept) expect(text).not.toContain(one);
  });

  it('asks for eight members at a time, and keeps their order', async () => {
    let [now, most] = [0, 0];
    const factors = {
      async status({ id }: { id: string }) {
        now += 1;
        most = Math.max(most, now);
        await new Promise((resolve) => setTimeout(resolve, Number(id) % 3));
        now -= 1;
        return { factors: [], backupCodes: null };
      },
    };
    const members = Array.from({ length: 50 }, (_, i) => ({ id: String(i) }));
    const rows = await auditFactors(factors as unknown as SecondFactors, members);
    expect(rows.map(({ id }) => id)).toEqual(members.map(({ id }) => id));
    expect(most).toBe(8);
    expect(await auditFactors(factors as unknown as SecondFactors, [])).toEqual([]);
  });
});

describe('auditCsv', () => {
  it('writes a line for each factor, and one for a member without any', () => {
    const factors = [
      { type: 'totp', name: 'Phone', created_at: since, last_used_at: null },
      { type: 'webauthn', name: 'Key', created_at: since, last_used_at: since },
    ] as const;
    const csv = auditCsv([rowOf({ factors, backup_codes_left: 7 }), rowOf({ id: 'bob', name: '' })]);
    expect(cellsOf(csv)).toEqual([
      columns,
      ['alice', 'Alice', 'totp', 'Phone', since, '', '7'],
      ['alice', 'Alice', 'webauthn', 'Key', since, since, '7'],
      ['bob', '', '', '', '', '', '0'],
    ]);
    expect(csv).toContain('"alice","Alice","totp","Phone"');
  });

  it('has its columns where there is nobody', () => {
    expect(cellsOf(auditCsv([]))).toEqual([columns]);
  });

  const hostile = [
    '=HYPERLINK("https://evil.example","click")',
    "=cmd|' /C calc'!A0",
    '+1+1',
    '-1+1',
    '@SUM(A1:A9)',
    '|calc',
    '%0A=1',
    '\t=1+1',
    '\r=1+1',
    '\n=1+1',
    '\u0000=1+1',
    ' =1+1',
    '\u00A0=1+1',
    '\uFEFF=1+1',
    '\u3000＝1+1',
    '＝1+1',
    '＋1+1',
    '－1+1',
    '＠SUM(A1)',
    'x;=1+1',
    'x;=1+1;y',
    'x; +1+1',
    ';;@SUM(A1)',
    'x"\r\n=1+1',
    '","=1+1',
    '";=1+1',
    'x;"=HYPERLINK(1)&"',
    'x; " +1+1',
    '"=1+1',
  ];
  it.each(hostile)('lets no spreadsheet take a name for a formula (OWN-15): %j', (name) => {
    const factor = { type: 'totp', name, created_at: since, last_used_at: null } as const;
    const csv = auditCsv([rowOf({ id: name, name, factors: [factor] }), rowOf({ id: name, name })]);
    const lines = cellsOf(csv);
    expect(lines).toHaveLength(3);
    for (const cells of lines) {
      expect(cells).toHaveLength(columns.length);
      for (const cell of cells) {
        expect(cell).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
        // As it is, and as spreadsheets that split at semicolons see it.
        for (const part of cell.split(';')) expect(part).not.toMatch(/^[\s"]*[=+\-@|%＝＋－＠]/u);
      }
    }
    const [, [id = '']] = lines as [string[], string[]];
    expect(id.replaceAll("'", '')).toBe(name.replaceAll(/[\p{Cc}]/gu, ' ').replaceAll("'", ''));
  });

  it.each([
    ['quotes', 'Alice "the owner" A.'],
    ['markup', '<img src=x onerror=alert(1)>'],
    ['commas', 'A, B, C'],
    ['signs within', 'a=b+c-d@e|f%g'],
    ['other scripts', 'Ελένη 山田 👩‍💻'],
    ['an apostrophe', "O'Neill"],
    ['semicolons', 'a; b;c'],
  ])('keeps %s in a name as they are', (_, name) => {
    expect(cellsOf(auditCsv([rowOf({ name })]))[1]).toEqual(['alice', name, '', '', '', '', '0']);
  });

  it.each(['\r\n', '\r', '\n', '\u2028', '\u2029', '\u0085', '\v', '\f'])(
    'keeps a name on its line: %j',
    (end) => {
      expect(cellsOf(auditCsv([rowOf({ name: `a${end}b` })]))[1]?.[1]).toMatch(/^a {1,2}b$/);
    },
  );
});
