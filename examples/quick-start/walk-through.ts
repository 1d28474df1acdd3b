// The walk-through that the quick start prints: every line can be pasted into another terminal, in this folder.

/** @param url - Where the quick start listens. */
export function walkThrough(url: string): string {
  const post = `curl -s -w '\\n' -H 'Content-Type: application/json' ${url}`;
  return `
# A weak password, a breached one, a good one
${post}/signup -d '{"username":"alice","password":"short"}'
${post}/signup -d '{"username":"alice","password":"Password123"}'
${post}/signup -d '{"username":"alice","password":"Tin-Roof-Umbrella-7"}'

# Log in, and use the token
TOKEN=$(${post}/tokens -d '{"username":"alice","password":"Tin-Roof-Umbrella-7"}' | node -p 'JSON.parse(require("fs").readFileSync(0)).access_token')
curl -s ${url}/me -H "Authorization: Bearer $TOKEN"

# Enrol an authenticator app: scan the code, or let the second line stand in for a phone
SECRET=$(curl -s -X POST ${url}/totp -H 'Accept: text/plain' -H "Authorization: Bearer $TOKEN" | tee /dev/stderr | tail -n 1)
code() { node --input-type=module -e 'import { generate } from "otplib"; console.log(await generate({ secret: process.argv[1] }))' "$SECRET"; }
${post}/totp/confirm -H "Authorization: Bearer $TOKEN" -d '{"otp_token":"'$(code)'"}'

# The password alone is not enough now; each code works once, so wait for the next one
PENDING=$(${post}/tokens -d '{"username":"alice","password":"Tin-Roof-Umbrella-7"}' | tee /dev/stderr | node -p 'JSON.parse(require("fs").readFileSync(0)).pending')
sleep 30
${post}/tokens/second-factor -d '{"pending":"'$PENDING'","otp_token":"'$(code)'"}'
sleep 30
TOKEN=$(${post}/tokens -d '{"username":"alice","password":"Tin-Roof-Umbrella-7","otp_token":"'$(code)'"}' | tee /dev/stderr | node -p 'JSON.parse(require("fs").readFileSync(0)).access_token')

# Emergency codes for the day the phone is gone, shown once; one of them logs in, once
CODE=$(${post}/second-factors/backup-codes -X POST -H "Authorization: Bearer $TOKEN" | tee /dev/stderr | node -p 'JSON.parse(require("fs").readFileSync(0)).backup_codes[0]')
${post}/tokens -d '{"username":"alice","password":"Tin-Roof-Umbrella-7","otp_token":"'$CODE'"}'
curl -s ${url}/second-factors -H "Authorization: Bearer $TOKEN"

# Where she is logged in; all logins but this one end
curl -s -w '\\n' ${url}/tokens -H "Authorization: Bearer $TOKEN"
curl -s -X DELETE ${url}/tokens/others -H "Authorization: Bearer $TOKEN"
curl -s -w '\\n' ${url}/tokens -H "Authorization: Bearer $TOKEN"

# Log out: the token is dead at once
curl -s -X DELETE ${url}/tokens/current -H "Authorization: Bearer $TOKEN"
curl -s ${url}/me -H "Authorization: Bearer $TOKEN"

# Guess: the tenth failure locks the account for a minute, for the right password too
for i in $(seq 11); do ${post}/tokens -d '{"username":"alice","password":"guess '$i'"}'; echo; done
${post}/tokens -i -d '{"username":"alice","password":"Tin-Roof-Umbrella-7"}'
`;
}
