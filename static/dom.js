// Elements made by script: text goes in as text, never as markup.

/** An element with these properties and children, which are elements or strings. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** The same for SVG, whose attributes are no properties. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A live region speaks when its text is set, even to the same words. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
