import { renderSVG } from 'uqr';

/** Light modules around it, without which scanners miss it on a dark page (ISO/IEC 18004 section 6.3.8). */
const quietZone = 4;

/** A QR code as the `src` of an image: an SVG in a data URL (RFC 2397), so nothing leaves the page to draw it. */
export function qrCode(text: string): string {
  const svg = renderSVG(text, { ecc: 'M', border: quietZone });
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;
}
