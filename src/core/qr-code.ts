import { renderSVG } from 'uqr';

/** A QR code as the `src` of an image: an SVG in a data URL (RFC 2397), so nothing leaves the page to draw it. */
export function qrCode(text: string): string {
  return `data:image/svg+xml;base64,${Buffer.from(renderSVG(text, { ecc: 'M' })).toString('base64')}`;
}
