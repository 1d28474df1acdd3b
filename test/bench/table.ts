/** One line of a result. */
export interface Figure {
  /** What was measured, and in which unit. */
  readonly name: string;
  readonly value: number;
  /** The same of somebody else in the same rounds. */
  readonly peer?: { readonly name: string; readonly value: number };
  /** Median over the rounds of value / peer value: a slow minute slows both. */
  readonly ratio?: number;
  readonly goal?: Goal;
}

export interface Goal {
  readonly of: 'value' | 'ratio';
  readonly atLeast?: number;
  readonly atMost?: number;
}

const headings = ['', 'koa-portcullis', 'peer', '', 'ratio', 'goal', ''];
const isNumeric = [false, true, true, false, true, false, false];

/** Undefined where there is no goal. */
export function passes({ value, ratio, goal }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  const judged = goal.of === 'value' ? value : (ratio ?? Number.NaN);
  return judged >= (goal.atLeast ?? -Infinity) && judged <= (goal.atMost ?? Infinity);
}

export function table(figures: readonly Figure[]): string {
  const rows = [headings, ...figures.map(cellsOf)];
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number): string => {
    const width = widths[column] ?? 0;
    return isNumeric[column] === true ? cell.padStart(width) : cell.padEnd(width);
  };
  return rows.map((row) => `  ${row.map(pad).join('  ')}`.trimEnd()).join('\n');
}

function cellsOf(figure: Figure): string[] {
  const { name, value, peer, ratio, goal } = figure;
  const verdict = { true: 'PASS', false: 'FAIL', undefined: '' }[`${passes(figure)}`] ?? '';
  return [
    name,
    short(value),
    peer === undefined ? '' : short(peer.value),
    peer === undefined ? '' : peer.name,
    ratio === undefined ? '' : short(ratio),
    goal === undefined ? '' : wordsOf(goal),
    verdict,
  ];
}

function wordsOf({ of, atLeast, atMost }: Goal): string {
  return `${of} ${atLeast === undefined ? `<= ${short(atMost ?? 0)}` : `>= ${short(atLeast)}`}`;
}

/** Three digits that matter, more only where the number is that large. */
function short(value: number): string {
  const decimals = Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3;
  return value.toLocaleString('en', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
