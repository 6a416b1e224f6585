/**
 * What a proxy costs that does nothing: Node's own server and client, the body and the reply handed on as they come. Takes
 * the upstream's port, prints its own.
 */
import { Agent, createServer, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';

const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true });

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const asked = ask({ host: '127.0.0.1', port, path: request.url, method: request.method, headers: request.headers, agent }, (reply) => {
    response.writeHead(reply.statusCode ?? 502, reply.headers);
    reply.pipe(response);
  });
  asked.on('error', () => response.destroy());
  request.pipe(asked);
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
