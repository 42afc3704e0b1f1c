// Numbers for people.

/** `11.2 MB`: decimal units, as disks and downloads count. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : significant(value, 3)} ${units[unit]}`;
}

/** `3.1e-7`, `0.0123`, `12.3`: three significant digits, exponent where the number is far from 1. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude < 1e-3 || magnitude >= 1e6) return value.toExponential(1).replace('e+', 'e');
  return significant(value, 3);
}

export function formatPercent(share: number): string {
  return `${significant(100 * share, 3)} %`;
}

export function formatMilliseconds(milliseconds: number): string {
  return `${significant(milliseconds, 3)} ms`;
}

/** `120 × 6625` */
export function formatShape(shape: { in: number; out: number } | null): string {
  return shape ? `${shape.in} × ${shape.out}` : '';
}

/** `1 layer`, `2 layers` */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  // Rounded first: 999.7 has four digits before the point.
  const rounded = Number(value.toPrecision(digits));
  const whole = Math.floor(Math.log10(Math.abs(rounded))) + 1;
  return rounded.toFixed(Math.max(0, digits - whole));
}
