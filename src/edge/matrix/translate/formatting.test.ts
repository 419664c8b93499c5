import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '../../../../test/support/fast-check.ts'
import { type Fragment, maximumHeight, maximumSource, textOf } from './fragment.ts'
import { readHtml } from './html-read.ts'
import { writeHtml } from './html-write.ts'
import { readMarkdown } from './markdown-read.ts'
import { writeMarkdown } from './markdown-write.ts'
import { writePlain } from './plain-write.ts'

const clean = (html: string): string => writeHtml(readHtml(html)?.fragment ?? [])
const words = (nodes: Fragment): string => writePlain(nodes).replace(/\s+/g, ' ').trim()

test('HTML of the recommended subset comes through, everything else leaves at most its text', () => {
  for (const [given, wanted] of [
    ['<b>bold</b> <i>it</i> <strike>gone</strike>', '<strong>bold</strong> <em>it</em> <del>gone</del>'],
    ['<p onclick="x()" style="color:red">text</p>', '<p>text</p>'],
    ['<script>alert(1)</script><style>p{}</style>after', 'after'],
    ['<a href="javascript:alert(1)">j</a>', 'j'],
    ['<a href="java\nscript:alert(1)">j</a>', 'j'],
    [
      '<a href=" https://example.org/a?b=1&amp;c " target="_blank" rel="x">l</a>',
      '<a href="https://example.org/a?b=1&amp;c">l</a>',
    ],
    ['<a href="data:text/html,x">d</a><a href="//example.org">p</a>', 'dp'],
    ['<img src="mxc://a/b" alt="cat"><img src="https://example.org/track.gif">', 'cat'],
    ['<mx-reply><blockquote>quoted</blockquote></mx-reply>answer', 'answer'],
    ['<custom-tag>kept <u>text</u></custom-tag>', 'kept <u>text</u>'],
    [
      '<pre><code class="language-js other">1 &lt; 2</code></pre>',
      '<pre><code class="language-js">1 &lt; 2</code></pre>',
    ],
    [
      '<span data-mx-spoiler="why" data-mx-color="#ff0000">s</span>',
      '<span data-mx-color="#ff0000" data-mx-spoiler="why">s</span>',
    ],
    ['<font color="#00ff00">g</font>', '<span data-mx-color="#00ff00">g</span>'],
    ['<ol start="3"><li>c</li></ol><ol start="x"><li>d</li></ol>', '<ol start="3"><li>c</li></ol><ol><li>d</li></ol>'],
    ['a<br/>b<hr>c', 'a<br>b<hr>c'],
    ['unclosed <b>bold <i>both', 'unclosed <strong>bold <em>both</em></strong>'],
    ['<svg><script>x</script></svg><math><mi>x</mi></math>&lt;b&gt;', '&lt;b&gt;'],
    ['<!-- <b>comment</b> -->t', 't'],
    ['<p title="a>b">q</p>', '<p>q</p>'],
    ['<td>a<a href=""><td>b', '<td>a</td><td>b</td>'],
    ['<td><th>a<o><tr>b', '<td></td><th>a</th><tr>b</tr>'],
    ['<li>a<o><p>b<span><li>c</li></span>d</p></o>e</li>', '<li>a<p>b<li>c</li>d</p>e</li>'],
  ] as const)
    assert.equal(clean(given), wanted, given)
})

test('HTML that is too long, too deep or too full of tags is bounded', () => {
  assert.equal(readHtml('x'.repeat(maximumSource + 1)), undefined)
  assert.equal(readHtml('<b>x</b>'.repeat(maximumSource / 8)), undefined)
  const deep = readHtml(`${'<blockquote>'.repeat(3_000)}x`)
  assert.equal(deep?.lossy, true)
  assert.equal(textOf(deep?.fragment ?? []), 'x')
  assert.equal(clean(`${'<div>'.repeat(100)}x`), `${'<div>'.repeat(maximumHeight)}x${'</div>'.repeat(maximumHeight)}`)
})

test('any text read as HTML gives clean HTML that reads as itself', () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom(
      '<',
      '>',
      '&',
      '"',
      '</',
      '/>',
      '<b>',
      '</b>',
      '<p ',
      '<a href="',
      '">',
      '<!--',
      '<script>',
      '&lt;',
      '<mx-reply>',
    ),
    fc.constantFrom(
      'javascript:',
      'https://e.org',
      'onload=',
      'style=',
      '<svg>',
      '<td>',
      '</table>',
      '<li>',
      '<pre>',
      '\u0000',
    ),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const html = clean(pieces.join(''))
      assert.doesNotMatch(
        html,
        /<(?!\/?(?:p|div|blockquote|pre|h[1-6]|ul|ol|li|table|caption|thead|tbody|tr|th|td|details|summary|hr|br|a|code|del|em|span|strong|sub|sup|u)[ >])/,
      )
      assert.doesNotMatch(
        html.replace(/>[^<]*</g, '><').replace(/^[^<]*|[^>]*$/g, ''),
        /="javascript:|\son\w+=|\sstyle=/i,
      )
      assert.equal(clean(html), html)
    }),
    { numRuns: 1_000 },
  )
})

test('Markdown is read as GFM-MIMI says', () => {
  for (const [given, wanted] of [
    ['__Good  work__!', '<p><strong>Good  work</strong>!</p>'],
    ["_Congratulations_ 'all", "<p><em>Congratulations</em> 'all</p>"],
    ['# Welcome!', '<h1>Welcome!</h1>'],
    ['snake_case_name 2*3*4', '<p>snake_case_name 2<em>3</em>4</p>'],
    ['***both***', '<p><em><strong>both</strong></em></p>'],
    ['**foo*bar**baz*', '<p><strong>foo*bar</strong>baz*</p>'],
    ['*foo**bar**baz*', '<p><em>foo<strong>bar</strong>baz</em></p>'],
    ['~~gone~~ ~one~ ~~~x', '<p><del>gone</del> <del>one</del> ~~~x</p>'],
    ['`` a`b `` `open', '<p><code>a`b</code> `open</p>'],
    ['<b>no</b> &amp; &#x41; &bogus;', '<p>&lt;b&gt;no&lt;/b&gt; &amp; A &amp;bogus;</p>'],
    ['\\*plain\\* \\a', '<p>*plain* \\a</p>'],
    [
      '[t](https://e.org/a_b_c "x") <https://e.org>',
      '<p><a href="https://e.org/a_b_c">t</a> <a href="https://e.org">https://e.org</a></p>',
    ],
    ['[a [b](https://e.org) c](https://f.org)', '<p>[a <a href="https://e.org">b</a> c](https://f.org)</p>'],
    ['[j](javascript:alert(1)) ![p](https://e.org/p.png)', '<p>j <a href="https://e.org/p.png">p</a></p>'],
    ['https://bare.example', '<p>https://bare.example</p>'],
    ['one\ntwo\n\nthree', '<p>one<br>two</p><p>three</p>'],
    ['> quote\n> more\nlazy\n\nafter', '<blockquote><p>quote<br>more<br>lazy</p></blockquote><p>after</p>'],
    [
      '- a\n- b\n  - c\n\n3. x\n4. y',
      '<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul><ol start="3"><li>x</li><li>y</li></ol>',
    ],
    ['- a\n\n- b', '<ul><li><p>a</p></li><li><p>b</p></li></ul>'],
    ['```js\nif (a < b) {}\n```', '<pre><code class="language-js">if (a &lt; b) {}\n</code></pre>'],
    ['    indented\n    code', '<pre><code>indented\ncode\n</code></pre>'],
    [
      '| a | b |\n|---|---|\n| 1 | 2\\|3 |',
      '<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2|3</td></tr></tbody></table>',
    ],
    ['Title\n=====\ntext\n\n---', '<h1>Title</h1><p>text</p><hr>'],
  ] as const)
    assert.equal(writeHtml(readMarkdown(given) ?? []), wanted, given)
})

test('a fragment is written as Markdown and as plain text', () => {
  for (const [html, markdown, plain] of [
    ['<p>a <strong>b</strong> c</p>', 'a **b** c', 'a b c'],
    ['<p>one<br>two</p><p>three</p>', 'one  \ntwo\n\nthree', 'one\ntwo\n\nthree'],
    ['<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul>', '- a\n- b\n  1. c', '- a\n- b\n  1. c'],
    ['<blockquote><p>q</p><p>r</p></blockquote>x', '> q\n>\n> r\n\nx', '> q\n>\n> r\n\nx'],
    ['<pre><code class="language-js">a\n```\nb\n</code></pre>', '````js\na\n```\nb\n````', 'a\n```\nb'],
    [
      '<a href="https://e.org">e</a> <a href="https://e.org">https://e.org</a>',
      '[e](<https://e.org>) [https://e.org](<https://e.org>)',
      'e (https://e.org) https://e.org',
    ],
    ['<a href="https://matrix.to/#/@ana:example.org">Ana</a>', '[Ana](<https://matrix.to/#/@ana:example.org>)', 'Ana'],
    ['1. no list', '1\\. no list', '1. no list'],
    ['# no heading<br>- no item', '\\# no heading  \n\\- no item', '# no heading\n- no item'],
    ['<strong> padded </strong>x', '**padded** x', 'padded x'],
    ['<code>a`b</code>', '``a`b``', 'a`b'],
    ['<span data-mx-spoiler>secret</span>', '||secret||', '||secret||'],
    [
      '<table><tr><th>a</th><th>b</th></tr><tr><td>1</td></tr></table>',
      '| a | b |\n| --- | --- |\n| 1 |  |',
      'a | b\n1 |',
    ],
    ['<h2>Head</h2>text', '## Head\n\ntext', 'Head\n\ntext'],
  ] as const) {
    const fragment = readHtml(html)?.fragment ?? []
    assert.equal(writeMarkdown(fragment), markdown, html)
    assert.equal(writePlain(fragment), plain, html)
  }
})

test('text survives Markdown and back, whatever it looks like', () => {
  const text = fc.array(
    fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom('*', '_', '`', '[', '](', '#', '- ', '> ', '1. ', '~~', '|', '<b>', '&amp;', '\\'),
    ),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(text, (pieces) => {
      const fragment = [pieces.join('').replaceAll('\0', '').replace(/\s+/g, ' ')]
      const back = readMarkdown(writeMarkdown(fragment))
      assert.equal(words(back ?? []), words(fragment))
    }),
    { numRuns: 2_000 },
  )
})

test('reading Markdown takes time in proportion to its length', () => {
  for (const unit of [
    '#*a',
    '*a **b ',
    'a[**',
    '![[]()',
    '[a](',
    '> ',
    '> - ',
    '- ',
    '`a``',
    '*a_ ',
    '|a\n|-\n',
    '~a ',
  ]) {
    const source = unit.repeat(Math.floor(maximumSource / unit.length))
    const start = performance.now()
    assert.ok(readMarkdown(source))
    assert.ok(performance.now() - start < 3_000, unit)
  }
  assert.equal(readMarkdown('x'.repeat(maximumSource + 1)), undefined)
})
