// An OpenID Connect provider on a port of 127.0.0.1, with new keys each time it starts. It lets in whoever types a name.
// Arguments: its port, the address of the pages, and who is in which groups, as JSON.
import Provider from 'oidc-provider';
import { exportJWK, generateKeyPair } from 'jose';
import { randomUUID } from 'node:crypto';

const [port, pages, members] = process.argv.slice(2);
const groups = JSON.parse(members);
const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const key = { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: 'RS256', use: 'sig' };
const client = (client_id, more) => ({
  client_id,
  client_secret: 'secret: of the, site & long enough for HS256',
  redirect_uris: [`${pages}/login/return`],
  post_logout_redirect_uris: [`${pages}/login`],
  ...more,
});
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client('rackwright'), client('shared', { id_token_signed_response_alg: 'HS256' })],
  jwks: { keys: [key] },
  claims: { openid: ['sub', 'groups'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'HS256'] },
  cookies: { keys: [randomUUID()] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: groups[id] ?? [] }),
  }),
});
provider.listen(Number(port), '127.0.0.1', () => console.log('listens'));
