// What is grossly wrong with the page as it is shown now: one sentence for each fault.
(() => {
    const faults = [];
    // A phone makes its window wider for a page that is too wide; this stays as it is.
    const width = document.documentElement.clientWidth;
    const say = (node, text) => faults.push(text + ': ' + (node.outerHTML ?? node.data).trim().slice(0, 120));
    const over = document.documentElement.scrollWidth - width;
    if (over > 0) faults.push('it is ' + over + ' pixels wider than the screen');
    if (!document.title.replace(/ · Rackwright$/, '').trim()) faults.push('it has no title');
    const heads = [...document.querySelectorAll('h1')].filter(h => h.checkVisibility() && h.innerText.trim());
    if (heads.length !== 1) faults.push('it has ' + heads.length + ' headings of the first level');
    const main = document.querySelector('main');
    const content = main ? main.innerText.replace(heads[0]?.innerText ?? '', '').trim() : '';
    if (content.length < 20 && !main?.querySelector('form input:not([type=hidden])')) faults.push('its main part is empty');
    for (const picture of document.querySelectorAll('img, svg, canvas')) {
        if (!picture.checkVisibility() || picture.closest('.xterm')) continue;
        const box = picture.getBoundingClientRect();
        if (box.width < 1 || box.height < 1 || (picture.complete && picture.naturalWidth === 0)) say(picture, 'a picture without size');
    }
    // Where text is seen: within what scrolls or is cut off around it.
    const seen = (node, box) => {
        let { left, right, top, bottom } = box;
        for (let at = node.parentElement; at && at !== document.body; at = at.parentElement) {
            const style = getComputedStyle(at);
            if (style.position === 'fixed') break;
            if (style.overflowX === 'visible' || at instanceof SVGElement) continue;
            const room = at.getBoundingClientRect();
            left = Math.max(left, room.left);
            right = Math.min(right, room.right);
            top = Math.max(top, room.top);
            bottom = Math.min(bottom, room.bottom);
        }
        return right - left > 1 && bottom - top > 1 ? { left, right, top, bottom, node } : null;
    };
    const floats = node => {
        for (let at = node.parentElement; at; at = at.parentElement) {
            if (['fixed', 'sticky', 'absolute'].includes(getComputedStyle(at).position)) return true;
        }
        return false;
    };
    const lines = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
        const around = node.parentElement;
        if (!node.data.trim() || around.closest('script, style, option, title, desc, .skip, .xterm')) continue;
        if (!around.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        for (const box of range.getClientRects()) {
            const part = seen(node, box);
            if (!part) continue;
            // Kept out of sight on purpose, for those who listen.
            if (part.right < 0 && floats(node)) continue;
            if (part.right > width + 1 || part.left < -1) say(node, 'text that leaves the screen');
            else if (!floats(node)) lines.push(part);
        }
    }
    lines.sort((a, b) => a.top - b.top);
    for (let i = 0; i < lines.length; i++) {
        for (let j = i + 1; j < lines.length && lines[j].top < lines[i].bottom; j++) {
            const [a, b] = [lines[i], lines[j]];
            const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const down = Math.min(a.bottom, b.bottom) - b.top;
            const height = Math.min(a.bottom - a.top, b.bottom - b.top);
            if (a.node !== b.node && across > 3 && down > height * 0.5) say(a.node, 'text over “' + b.node.data.trim().slice(0, 60) + '”');
        }
    }
    return [...new Set(faults)];
})()
