import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Role } from '../../../identity/index.ts'
import { type Base, compare, giveUp, type MatrixMember } from './merge.ts'

const isGhost = (who: string) => who.startsWith('ghost')
const joined = (role: Role | undefined = 'member'): MatrixMember => ({ membership: 'join', role })
const invited: MatrixMember = { membership: 'invite', role: 'member' }

/** What differs of one member, as `to what`. */
function one(who: string, role: Role | undefined, there: MatrixMember | undefined, before: Role | undefined) {
  const messenger = { name: '', members: new Map(role ? [[who, role]] : []) }
  const matrix = { name: '', members: new Map(there ? [[who, there]] : []) }
  const base: Base = { name: '', members: before ? { [who]: before } : {} }
  const { differences, agreed } = compare(messenger, matrix, base, isGhost)
  return {
    said: differences.map(({ to, what }) => `${to} ${what}`),
    now: agreed.members[who],
    messenger,
    matrix,
    agreed,
    differences,
  }
}

test('who differs from what was agreed has changed, and the other side follows', () => {
  const cases: [string, Role | undefined, MatrixMember | undefined, Role | undefined, string[], Role | undefined][] = [
    ['user', 'member', undefined, undefined, ['matrix come'], undefined],
    ['user', 'member', invited, undefined, [], 'member'],
    ['ghost', 'member', invited, undefined, ['matrix come'], 'member'],
    ['user', 'member', undefined, 'member', ['messenger go'], 'member'],
    ['user', undefined, joined(), undefined, ['messenger come'], undefined],
    ['user', undefined, invited, undefined, [], undefined],
    ['ghost', undefined, invited, undefined, ['messenger come'], undefined],
    ['user', undefined, joined(), 'member', ['matrix go'], 'member'],
    ['user', undefined, undefined, 'member', [], undefined],
    ['user', 'admin', joined('admin'), 'member', [], 'admin'],
    ['user', 'admin', joined('member'), 'member', ['matrix role'], 'member'],
    ['user', 'member', joined('admin'), 'member', ['messenger role'], 'member'],
    ['user', 'owner', joined('admin'), 'member', ['matrix role'], 'member'],
    ['user', 'member', joined('owner'), undefined, ['matrix role'], 'owner'],
    ['user', 'member', joined(undefined), undefined, [], 'member'],
  ]
  for (const [who, role, there, before, wanted, agreed] of cases) {
    const { said, now } = one(who, role, there, before)
    assert.deepEqual({ said, now }, { said: wanted, now: agreed }, JSON.stringify([who, role, there, before]))
  }
})

test('what the messenger refuses is taken back on Matrix, whatever it was', () => {
  for (const [role, there, before] of [
    ['member', undefined, 'member'],
    [undefined, joined(), undefined],
    ['member', joined('admin'), 'member'],
  ] as const) {
    const { agreed, differences, messenger, matrix } = one('user', role, there, before)
    const base = giveUp(agreed, differences[0]!, matrix)
    const after = compare(messenger, matrix, base, isGhost)
    assert.deepEqual(
      after.differences.map(({ to }) => to),
      ['matrix'],
    )
  }
})

test('the name follows whoever changed it; of two the messenger’s stands', () => {
  const name = (messenger: string, matrix: string, base: string) =>
    compare(
      { name: messenger, members: new Map() },
      { name: matrix, members: new Map() },
      { name: base, members: {} },
      isGhost,
    )
  assert.deepEqual(name('a', 'b', 'a').differences, [{ what: 'name', to: 'messenger', name: 'b' }])
  assert.deepEqual(name('b', 'a', 'a').differences, [{ what: 'name', to: 'matrix', name: 'b' }])
  assert.deepEqual(name('b', 'c', 'a').differences, [{ what: 'name', to: 'matrix', name: 'b' }])
  assert.deepEqual(name('b', 'b', 'a').agreed.name, 'b')
})
